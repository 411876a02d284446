"""Values of the command line that need no check, without what Typer loads to check them.

Typer has pydantic look at every value, also at text, and at what was not given. To load pydantic takes a
fifth of the time until a chat's prompt is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_WHOLE = (str, int, float, bool)
"""What is typed is text: a value of another kind is the default, and right."""


class LateCheck:
    """Stands in for the check of one parameter; the usual one is built when there is something to check."""

    def __init__(self, parameter: Any, usual: Callable[[], Any]) -> None:
        self._kind = parameter.type_descriptor.annotation
        self._usual = usual

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as the command gets it; raises what Typer raises for one that is wrong."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if ctx.resilient_parsing or (self._kind in _WHOLE and type(value) is self._kind):
            return value
        return self._usual().coerce(value, param=param, ctx=ctx)


def check_late(command: Any) -> None:
    """Has a command of Typer's, and those below it, check only what needs it.

    Where Typer works otherwise than this expects, nothing changes.
    """
    usual = command.get_params
    command.get_params = lambda ctx: [_late(parameter) for parameter in usual(ctx)]
    for each in getattr(command, "commands", {}).values():
        check_late(each)


def _late(parameter: Any) -> Any:
    usual = getattr(parameter, "get_runtime_param", None)
    if usual is not None and "get_runtime_param" not in vars(parameter):
        check = LateCheck(parameter, usual)
        parameter.get_runtime_param = lambda: check
    return parameter
