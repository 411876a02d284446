"""A tool as it is offered to a model, whatever carries it out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any

from msgspec import Struct

from aivax_cli.core.types import ToolOutcome, ToolSpec
from aivax_cli.gateway.sections import CalledTool
from aivax_cli.tools.arguments import ArgumentCheck

MOST_TOOLS = 128
"""How many functions OpenAI's API takes in one request; others take fewer."""
LONGEST_DESCRIPTION = 1024
"""Characters that OpenAI's API takes of a function's description."""

CarryOut = Callable[[Mapping[str, Any]], Awaitable[ToolOutcome]]


class Approval(Enum):
    """What a person says to a call that needs to be confirmed."""

    YES = "yes"
    NO = "no"
    ALWAYS = "always"
    """Yes, and to every later call of the same tool."""
    NOBODY = "nobody"
    """There is no person who could be asked."""


class ApprovalRequest(Struct, frozen=True):
    """A call that waits for a person. `arguments` is JSON text as the model wrote it: not to be trusted."""

    tool: str
    origin: str
    arguments: str


Approve = Callable[[ApprovalRequest], Awaitable[Approval]]
"""Asks a person. Cancelled when the turn is."""


class Offer(Struct, frozen=True):
    """A tool under the name that the model knows.

    `own_name` is its name at its origin: a server's label, or an endpoint's address.
    """

    spec: ToolSpec
    own_name: str
    origin: str
    settings: CalledTool
    carry_out: CarryOut
    check: ArgumentCheck


def shortened_description(text: str) -> str:
    """A description of a length that every endpoint takes."""
    text = text.strip()
    return text if len(text) <= LONGEST_DESCRIPTION else text[: LONGEST_DESCRIPTION - 1] + "…"


def object_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of arguments as endpoints want it: of an object, with `properties`."""
    whole = {**schema}
    whole.setdefault("type", "object")
    whole.setdefault("properties", {})
    return whole
