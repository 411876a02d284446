"""Assertions in a user's own Python: `checks/custom.py:check`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aivax_cli.checks.assertions.base import Found, Ground, excerpt
from aivax_cli.checks.results import Answer


def own_rule(reference: str, answer: Answer, ground: Ground) -> Found:
    """What the function says of the answer: True or None is a pass, False or a text a failure.

    Whatever else happens (no such file, an exception, `sys.exit`) leaves it undecided.
    """
    name, _, function = reference.rpartition(":")
    file = ground.find(name)
    if file is None:
        return Found(None, reference, reason=f"no such file: {name}")
    try:
        check = _function(file, function)
        said = check(answer)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the user's own code
        return Found(
            None, reference, excerpt(answer.text), f"{reference} raised {type(error).__name__}: {error}"
        )
    if said is None or said is True:
        return Found(True, reference, excerpt(answer.text))
    reason = said if isinstance(said, str) else "returned False"
    if said is False or isinstance(said, str):
        return Found(False, reference, excerpt(answer.text), reason)
    return Found(None, reference, reason=f"{reference} returned {type(said).__name__}, not a bool or a text")


def _function(file: Path, name: str) -> Callable[[Answer], Any]:
    """Loads the file anew under a name of its own; what it imports from beside it is found."""
    module_name = f"aivax_check_{abs(hash(str(file)))}"
    module = sys.modules.get(module_name)
    if module is None:
        spec = importlib.util.spec_from_file_location(module_name, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{file.name} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[module_name]
            raise
    function = getattr(module, name, None)
    if not callable(function):
        raise TypeError(f"{file.name} has no function {name}")
    return function  # type: ignore[no-any-return]
