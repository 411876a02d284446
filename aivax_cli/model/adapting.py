"""What an endpoint refuses of a request, and the same request without it. Pure.

OpenAI names the parameter in `param`, with a code such as `unsupported_value`; others say it in words, of
which `tests/unit/model/test_adapting.py` has examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from aivax_cli.core.types import ModelAdapted, ModelCall
from aivax_cli.model.answer_formats import simpler_way, way_of
from aivax_cli.model.wire import Dialect, decode, error_in

OPTIONAL = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "reasoning_effort",
    "verbosity",
)
"""Parameters without which an answer is still an answer. What was put into `extra_body` is not left out."""

# Compiled at their first use: most runs do without them.
_REFUSED = (
    r"(?i)"
    r"unsupported|(?:not|n't|no longer) support|not (?:permitted|allowed|available|accepted)|unrecogni[sz]ed"
    r"|unknown (?:name|field|parameter|argument|property|key)|unexpected (?:keyword|field|parameter|argument)"
    r"|extra (?:inputs|fields)|extra_forbidden|additional propert|deprecated"
)
_CHOICE = r"(?i)supported values? (?:are|is)"
"""The parameter is taken, and the endpoint says with which values: for the user to choose one."""
_CODES = ("unsupported_parameter", "unsupported_value", "unknown_parameter")


def simpler(dialect: Dialect, call: ModelCall, status: int, body: str) -> Dialect | None:
    """The dialect without what the endpoint complains of, or None when it complains of something else."""
    way = simpler_way(call, way_of(call, dialect.answers), status, body)
    if way is not None:
        return replace(dialect, answers=way)
    if status not in (400, 422):
        return None
    if dialect.stream_options and ("stream_options" in body or "include_usage" in body):
        return replace(dialect, stream_options=False)
    limited = call.parameters.get("max_completion_tokens") is not None
    if dialect.max_completion_tokens and limited and "max_completion_tokens" in body:
        return replace(dialect, max_completion_tokens=False)
    refused = _refused(body, [name for name in OPTIONAL if name not in dialect.without and _sent(call, name)])
    return replace(dialect, without=dialect.without | refused) if refused else None


def adaptations(call: ModelCall, dialect: Dialect) -> tuple[ModelAdapted, ...]:
    """What is different about a call in this dialect, for the person who set the parameters."""
    who = call.target.label
    changes = [
        ModelAdapted(name, f"{who} does not take {name} as it is set; sent without it")
        for name in OPTIONAL
        if name in dialect.without and _sent(call, name)
    ]
    if not dialect.max_completion_tokens and _sent(call, "max_completion_tokens"):
        name = "max_completion_tokens"
        changes.append(ModelAdapted(name, f"{who} does not take {name}; sent as max_tokens"))
    return tuple(changes)


def _sent(call: ModelCall, name: str) -> bool:
    return call.parameters.get(name) is not None


def _refused(body: str, sent: Iterable[str]) -> frozenset[str]:
    """Which of the parameters that were sent the endpoint does not take."""
    try:
        payload = decode(body)
    except ValueError:
        payload = None
    found = error_in(payload)
    message = found.message if found else body[:2_000]
    if re.search(_CHOICE, message):
        return frozenset()
    param, code = _param(payload)
    if code in _CODES and param:
        return frozenset(name for name in sent if name == param)
    if not re.search(_REFUSED, message):
        return frozenset()
    # `presencePenalty`, `generation_config.presence_penalty` and `presence_penalty` are the same word here.
    words = set(re.findall(r"[a-z0-9]+", message.replace("_", "").lower()))
    return frozenset(name for name in sent if name.replace("_", "") in words)


def _param(payload: object) -> tuple[str, str]:
    error = payload.get("error") if isinstance(payload, Mapping) else None
    if not isinstance(error, Mapping):
        return "", ""
    return str(error.get("param") or ""), str(error.get("code") or "")
