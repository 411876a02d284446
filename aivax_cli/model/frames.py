"""Chunks that differ from one before in their text alone, read without parsing all of them again. Pure.

A streamed answer repeats a few hundred bytes of JSON around every word. What is the same as in a chunk that
was parsed, byte for byte, means the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.json import Decoder

from aivax_cli.model.wire import decode, value_at

_CONTENT = '"content":'
_PROBE = '"\\u0000probe"'
_TEXTS = Decoder(list[str])


class Frame(Struct, frozen=True):
    """What stands before and after the JSON of the text in the chunks of a stream."""

    before: str
    after: str

    @classmethod
    def of(cls, data: str, payload: object) -> Frame | None:
        """The frame of a chunk and its parsed value; None when there is more to the chunk than its text."""
        probed = _with_probe(payload)
        key = data.find(_CONTENT)
        if probed is None or key < 0:
            return None
        start = key + len(_CONTENT)
        start += len(data[start:]) - len(data[start:].lstrip(" "))
        try:
            _, end = value_at(data, start)
            # Another `content` may come first, or the last of two counts: only what parses to the same chunk
            # with another text in its place is the place of the text.
            if decode(data[:start] + _PROBE + data[end:]) != probed:
                return None
        except ValueError:
            return None
        return cls(data[:start], data[end:])

    def all_texts(self, chunks: Sequence[str]) -> list[str] | None:
        """The texts of chunks that came together, in half the time; None unless all are in this frame."""
        before, after = self.before, self.after
        begin, end = len(before), -len(after)
        values = [each[begin:end] for each in chunks if each.startswith(before) and each.endswith(after)]
        if len(values) != len(chunks):
            return None
        try:
            texts = _TEXTS.decode("[" + ",".join(values) + "]")
        except ValueError:
            return None
        # One that was no single text would be more than one, or make its neighbours less.
        return texts if len(texts) == len(values) else None

    def text(self, data: str) -> str | None:
        """The text of a chunk in this frame, None for any other chunk."""
        if not data.startswith(self.before):
            return None
        try:
            value, end = value_at(data, len(self.before))
        except ValueError:
            return None
        return value if isinstance(value, str) and data[end:] == self.after else None


def _with_probe(payload: object) -> object | None:
    """The chunk with the probe for its text; None when it says anything that counts once a chunk."""
    if not isinstance(payload, dict) or any(map(payload.get, ("usage", "x_groq", "generation_context"))):
        return None
    choices = payload.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], Mapping):
        return None
    delta = choices[0].get("delta")
    if not isinstance(delta, Mapping) or any(map(choices[0].get, ("finish_reason", "usage", "index"))):
        return None
    others = any(map(delta.get, ("tool_calls", "completion_text", "refusal")))
    if others or not isinstance(delta.get("content"), str) or not delta["content"]:
        return None
    probe = decode(_PROBE)
    return {**payload, "choices": [{**choices[0], "delta": {**delta, "content": probe}}]}
