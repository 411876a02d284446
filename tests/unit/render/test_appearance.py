"""Which variables decide how a terminal is written to, and what the themes' colours are worth."""

import math

import pytest

from aivax_cli.render.appearance import THEMES, Appearance

BACKGROUNDS = {"dark": "#1e1e1e", "light": "#ffffff"}


@pytest.mark.parametrize(
    ("environ", "colour"),
    [
        ({}, None),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, None),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "0"}, None),
        ({"CLICOLOR_FORCE": "1"}, True),
        ({"CLICOLOR": "0"}, False),
        ({"CLICOLOR": "0", "FORCE_COLOR": "1"}, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_variables_decide_about_colour(environ: dict[str, str], colour: bool | None) -> None:
    assert Appearance.of(environ).colour is colour


def test_the_option_comes_before_every_variable() -> None:
    assert Appearance.of({"FORCE_COLOR": "1"}, no_color=True).colour is False


@pytest.mark.parametrize(
    ("environ", "plain"),
    [
        ({}, False),
        ({"AIVAX_PLAIN": "1"}, True),
        ({"AIVAX_PLAIN": "0"}, False),
        ({"TERM": "dumb"}, True),
        ({"TERM": "xterm-256color"}, False),
    ],
)
def test_variables_decide_about_plain_lines(environ: dict[str, str], plain: bool) -> None:
    assert Appearance.of(environ).plain is plain


def test_an_unknown_theme_is_told_with_the_choices() -> None:
    look = Appearance.of({"AIVAX_THEME": "neon"})
    assert look.palette == {}
    assert look.problem == "AIVAX_THEME: no theme 'neon'; choose one of terminal, dark, light"


@pytest.mark.parametrize("theme", BACKGROUNDS)
def test_every_colour_can_be_read_on_its_background(theme: str) -> None:
    background = luminance(rgb(BACKGROUNDS[theme]))
    for colour in THEMES[theme].values():
        bright, dark = sorted((luminance(rgb(colour)), background), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, colour  # WCAG 2.2, level AA


@pytest.mark.parametrize("theme", BACKGROUNDS)
@pytest.mark.parametrize("sight", ["protanopia", "deuteranopia"])
def test_good_and_bad_are_told_apart_without_seeing_red_or_green(theme: str, sight: str) -> None:
    good, bad = (seen(rgb(THEMES[theme][name]), sight) for name in ("green", "red"))
    assert math.dist(good, bad) > 0.3


# Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", 2009.
SIGHTS = {
    "protanopia": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    "deuteranopia": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
}


def rgb(colour: str) -> tuple[float, ...]:
    """Linear red, green and blue, 0 to 1."""
    shares = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return tuple(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)


def luminance(colour: tuple[float, ...]) -> float:
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), colour, strict=True))


def seen(colour: tuple[float, ...], sight: str) -> list[float]:
    return [sum(a * b for a, b in zip(row, colour, strict=True)) for row in SIGHTS[sight]]
