"""Asking the person at the terminal about tools with `confirm`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aivax_cli.render.screen import Screen
    from aivax_cli.tools.offers import Approval, ApprovalRequest, Approve

APPROVE_TOOLS_HELP = "Run tools marked `confirm` without asking."


def approver(screen: Screen, *, approve_all: bool) -> Approve:
    """Whom a gateway's tools ask: nobody with `approve_all`, else the person, if there is a terminal."""
    from aivax_cli.tools.offers import Approval

    async def yes(_request: ApprovalRequest) -> Approval:
        return Approval.YES

    async def ask(request: ApprovalRequest) -> Approval:
        try:
            return await _asked(screen, request)
        except OSError:
            screen.warn(
                f"{request.tool} needs approval and there is no terminal to ask on; --approve-tools gives it"
            )
            return Approval.NOBODY

    return yes if approve_all else ask


async def _asked(screen: Screen, request: ApprovalRequest) -> Approval:
    """What the person answers. Raises OSError when there is no terminal for question and answer."""
    from aivax_cli.cli.keys import single_keys
    from aivax_cli.render.approval import approval_question
    from aivax_cli.tools.offers import Approval

    console = screen.aside if screen.aside.is_terminal else screen.err
    if not console.is_terminal:
        raise OSError("no terminal")
    answers = {"y": Approval.YES, "n": Approval.NO, "a": Approval.ALWAYS}
    with screen.holding(), single_keys() as pressed:
        question = approval_question(request.tool, request.origin, request.arguments, screen.words)
        console.print(question, end="", soft_wrap=True)
        answer = None
        try:
            answer = answers.get(await pressed("".join(answers)), Approval.NO)
        finally:
            console.print(answer.value if answer else "")
    return answer
