"""The program: `aivax`, and `python -m aivax_cli`.

A short command is mostly Python that is loaded, so four things that take a third of that are left out.
"""

from __future__ import annotations

import atexit
import gc
import sys
from types import ModuleType

# Loading makes a hundred thousand objects and hardly any garbage; by default Python looks through young ones
# at every 700. Commands that work for long look more often again.
_YOUNG_OBJECTS = 200_000


def main() -> None:
    """Entry point of the `aivax` script."""
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)
    # As it ends, Python looks through all objects three times for garbage, though the memory is given back
    # anyway. What is frozen is not looked at. The first that is registered is done last.
    atexit.register(gc.freeze)
    # pydantic looks through every installed distribution for plugins. None of them has a say here. What would
    # look for them loads all that reads distributions first, 8 ms.
    no_plugins = ModuleType("pydantic.plugin._loader")
    no_plugins.get_plugins = tuple  # type: ignore[attr-defined]
    sys.modules.setdefault(no_plugins.__name__, no_plugins)
    # httpx has a command line of its own, with Click, Pygments and more of rich, and does without where that
    # cannot be imported.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

    from aivax_cli.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
