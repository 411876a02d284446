"""How a terminal is written to, as options and environment have it: plainly or not, and in which colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

THEMES: Final[Mapping[str, Mapping[str, str]]] = {
    "terminal": {},
    "dark": {
        "red": "#ff8a65",
        "green": "#56b4e9",
        "yellow": "#f0e442",
        "cyan": "#7fd4c1",
        "magenta": "#e0a3c8",
        "blue": "#9dc6ff",
        "bright_black": "#a0a0a0",
    },
    "light": {
        "red": "#b34700",
        "green": "#005b96",
        "yellow": "#7a5c00",
        "cyan": "#00695c",
        "magenta": "#8e3a72",
        "blue": "#1d3f99",
        "bright_black": "#606060",
    },
}
"""What stands for the terminal's own colours: nothing, as they suit any background; or fixed ones for a dark
or a light background. Green means well and red does not, and there is always a sign or a word beside them;
the fixed ones are blue and orange, which everybody can tell apart (after Okabe and Ito, "Color Universal
Design", https://jfly.uni-koeln.de/color/)."""

DUMB_TERMINALS: Final = ("dumb", "unknown")


class Appearance(Struct, frozen=True):
    """`plain`: lines of text and nothing else, for screen readers. `colour`: True even where no terminal is,
    None where the terminal is able to show it. `problem` is what to warn of.
    """

    plain: bool = False
    colour: bool | None = None
    palette: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str], *, plain: bool = False, no_color: bool = False) -> Appearance:
        """What `--plain`, `--no-color`, AIVAX_PLAIN, AIVAX_THEME and the usual variables come to.

        NO_COLOR (https://no-color.org) comes before FORCE_COLOR and CLICOLOR_FORCE, they before CLICOLOR=0
        (https://bixense.com/clicolors).
        """
        name = environ.get("AIVAX_THEME", "").strip().lower() or "terminal"
        choices = ", ".join(THEMES)
        problem = "" if name in THEMES else f"AIVAX_THEME: no theme '{name}'; choose one of {choices}"
        return cls(
            plain or _on(environ, "AIVAX_PLAIN") or environ.get("TERM", "").lower() in DUMB_TERMINALS,
            _colour(environ, no_color=no_color),
            THEMES.get(name, {}),
            problem,
        )


def _colour(environ: Mapping[str, str], *, no_color: bool) -> bool | None:
    if no_color or environ.get("NO_COLOR"):
        return False
    if _on(environ, "FORCE_COLOR") or _on(environ, "CLICOLOR_FORCE"):
        return True
    return False if environ.get("CLICOLOR", "").strip() == "0" else None


def _on(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").strip().lower() not in ("", "0", "false", "no")
