"""What a person is told when something in a turn goes wrong."""

import pytest

from aivax_cli.core.events import ToolCalled
from aivax_cli.core.types import ToolCall, ToolOutcome, ToolRun
from aivax_cli.render.event_lines import warning_of


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        ("look_up did not answer within 30 s.", "look_up did not answer within 30 s."),
        ("Not run: too many calls.", "look_up failed: Not run: too many calls."),
        ("look_upwards is broken", "look_up failed: look_upwards is broken"),
    ],
)
def test_a_failed_tool_is_named_once(outcome: str, line: str) -> None:
    run = ToolRun(ToolCall("c1", "look_up", "{}"), ToolOutcome(outcome, failed=True), 0.1)
    assert warning_of(ToolCalled(run)) == line
