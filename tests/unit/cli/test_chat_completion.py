"""The values that a field's type lists."""

from typing import Literal, Optional

import pytest

from aivax_cli.cli.chat_completion import literals


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (bool, ("true", "false")),
        (Literal["any", "all"], ("any", "all")),
        (Optional[Literal["low", "high"]], ("low", "high")),  # noqa: UP045 - as pydantic keeps it
        (Literal["siblings"] | int, ("siblings",)),
        (bool | None, ("true", "false")),
        (list[Literal["a"]], ()),
        (str, ()),
    ],
)
def test_only_what_can_be_counted_up_is_offered(annotation: object, values: tuple[str, ...]) -> None:
    assert literals(annotation) == values
