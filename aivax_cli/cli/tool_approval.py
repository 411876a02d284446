"""Asking the person at the terminal about tools with `confirm`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from aivax_cli.render.screen import Screen
    from aivax_cli.tools.offers import Approval, ApprovalRequest, Approve

APPROVE_TOOLS_HELP = "Run tools marked `confirm` without asking."


def approver(screen: Screen, *, approve_all: bool) -> Approve:
    """Whom a gateway's tools ask: nobody with `approve_all`, else the person, if there is a terminal."""
    from aivax_cli.tools.offers import Approval

    async def yes(_request: ApprovalRequest) -> Approval:
        return Approval.YES

    async def ask(request: ApprovalRequest) -> Approval:
        console = _console(screen)
        if console is None:
            screen.warn(
                f"{request.tool} needs approval and there is no terminal to ask on; --approve-tools gives it"
            )
            return Approval.NOBODY
        return await _asked(screen, console, request)

    return yes if approve_all else ask


async def _asked(screen: Screen, console: Console, request: ApprovalRequest) -> Approval:
    from aivax_cli.cli.keys import pressed_key
    from aivax_cli.render.approval import approval_question
    from aivax_cli.tools.offers import Approval

    answers = {"y": Approval.YES, "n": Approval.NO, "a": Approval.ALWAYS}
    with screen.holding():
        question = approval_question(request.tool, request.origin, request.arguments)
        console.print(question, end="", soft_wrap=True)
        answer = None
        try:
            answer = answers.get(await pressed_key("".join(answers)), Approval.NO)
        finally:
            console.print(answer.value if answer else "")
    return answer


def _console(screen: Screen) -> Console | None:
    """Where a question can be put: a terminal to write on, with one to answer on."""
    console = screen.aside if screen.aside.is_terminal else screen.err
    if not console.is_terminal:
        return None
    if sys.platform == "win32":
        return console if sys.stdin.isatty() else None
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return None
    return console
