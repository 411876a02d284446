"""Tool calls put together from the pieces in which endpoints send them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from msgspec import Struct, field

from aivax_cli.core.types import ToolCall


class _Part(Struct):
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class ToolCallParts:
    """Collects the `tool_calls` fragments of one answer.

    OpenAI sends `index` with every fragment and `id` and `name` with the first. Others leave out `index` or
    `id`, number every call 0, or send the arguments as an object instead of JSON text.
    """

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._by_index: dict[int, _Part] = {}

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, fragments: object) -> None:
        """Takes the value of a `tool_calls` field; anything that is no list of objects is ignored."""
        if not isinstance(fragments, list):
            return
        for fragment in fragments:
            if isinstance(fragment, dict):
                self._add_fragment(fragment)

    def calls(self) -> tuple[ToolCall, ...]:
        """The calls in the order in which they began. One without a name cannot be carried out and is left
        out; one without an id gets `call_1`, `call_2`, …, and none has the id of another: endpoints refuse
        a conversation in which a result could belong to two calls."""
        calls: dict[str, ToolCall] = {}
        for number, part in enumerate(self._parts, start=1):
            call_id = part.id or f"call_{number}"
            while call_id in calls:
                call_id += f"_{number}"
            if part.name:
                calls[call_id] = ToolCall(call_id, part.name, "".join(part.arguments) or "{}")
        return tuple(calls.values())

    def _add_fragment(self, fragment: Mapping[str, object]) -> None:
        function = fragment.get("function")
        if not isinstance(function, dict):
            function = {}
        call_id, name = _text(fragment.get("id")), _text(function.get("name"))
        part = self._part_of(fragment.get("index"), call_id, name)
        part.id = part.id or call_id
        part.name = part.name or name
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            part.arguments.append(arguments)
        elif isinstance(arguments, dict):
            part.arguments.append(json.dumps(arguments, ensure_ascii=False, default=float))

    def _part_of(self, index: object, call_id: str, name: str) -> _Part:
        if isinstance(index, int):
            known = self._by_index.get(index)
        else:
            index = None
            known = next((part for part in self._parts if call_id and part.id == call_id), None)
            if known is None and not call_id and not name and self._parts:
                known = self._parts[-1]
        another = known is not None and bool(name and call_id and known.id and known.id != call_id)
        if known is None or another:
            known = _Part()
            self._parts.append(known)
        if index is not None:
            self._by_index[index] = known
        return known


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
