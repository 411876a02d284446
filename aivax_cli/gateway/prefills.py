"""Which endpoints continue a message of the assistant, and what they want to be sent for it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct, field
from msgspec.structs import replace

from aivax_cli.core.errors import UsageError
from aivax_cli.core.types import JsonValue, ModelTarget


class Prefilling(Struct, frozen=True):
    """How an endpoint takes a last message of the assistant.

    `message` are further fields of that message. `base_url` is another root of the API that has to be asked.
    `echoes` says that the answer repeats the prefill, `trims` that it may not end with white space. Models
    that `never` matches do not continue it.
    """

    continues: bool = True
    message: Mapping[str, JsonValue] = field(default_factory=dict)
    base_url: str | None = None
    echoes: bool = False
    trims: bool = False
    never: str | None = None


AS_SENT = Prefilling()
"""Of an endpoint that is not in the table, nobody knows: the message is sent, and that is all."""

PREFILLING: Mapping[str, Prefilling] = {
    # A new message is begun after the assistant's: two answers, glued together.
    "api.openai.com": Prefilling(continues=False),
    # Some models continue it by Google's own API; newer ones refuse a request that ends so (HTTP 400).
    "generativelanguage.googleapis.com": Prefilling(continues=False),
    # "Prefilling assistant messages returns a 400 error on Claude 4.6 models": the migration guide. Those
    # before refuse white space at its end.
    "api.anthropic.com": Prefilling(
        trims=True, never=r"claude-(opus|sonnet|haiku)-(4-([6-9]|\d\d(?!\d))|[5-9])"
    ),
    # docs.mistral.ai, "prefix": the answer begins with the prefix itself.
    "api.mistral.ai": Prefilling(message={"prefix": True}, echoes=True),
    # api-docs.deepseek.com, "Chat Prefix Completion (Beta)": at /beta alone, and not repeated.
    "api.deepseek.com": Prefilling(message={"prefix": True}, base_url="https://api.deepseek.com/beta"),
    # console.groq.com/docs/prefilling, openrouter.ai/docs: "Assistant Prefill".
    "api.groq.com": AS_SENT,
    "openrouter.ai": AS_SENT,
}
"""By host, so that a provider whose `base_url` aivax.yaml changes is what it is there. The embedded engine
(llama.cpp), Ollama and LM Studio continue what they are sent. vLLM and SGLang do when asked for it:
`parameters.extra_body: {continue_final_message: true, add_generation_prompt: false}`."""


def prefilling(target: ModelTarget) -> Prefilling:
    """How a model's endpoint takes a prefill."""
    try:
        host = urlsplit(target.base_url).hostname or ""
    except ValueError:
        host = ""
    found = PREFILLING.get(host, AS_SENT)
    if found.never and re.search(found.never, target.name):
        return Prefilling(continues=False)
    return found


def where_continued(target: ModelTarget) -> ModelTarget:
    """The same model at the address at which it continues a prefill."""
    base_url = prefilling(target).base_url
    return replace(target, base_url=base_url) if base_url else target


def sent_prefill(prefill: str, target: ModelTarget) -> dict[str, JsonValue]:
    """The last message as the endpoint wants it, without its role."""
    how = prefilling(target)
    return {"content": prefill.rstrip() if how.trims else prefill, **how.message}


def told_prefill(prefill: str, target: ModelTarget) -> str:
    """What the answer begins with, before what the endpoint says."""
    how = prefilling(target)
    if how.echoes:
        return ""
    return prefill.rstrip() if how.trims else prefill


def prefill_problem(target: ModelTarget) -> str | None:
    """Why a model cannot be given a prefill; None when it can, or nobody knows."""
    if prefilling(target).continues:
        return None
    return f"{target.label} does not continue a message of the assistant: it would begin its answer anew"


def refuse_prefill(targets: Iterable[ModelTarget]) -> None:
    """Raises UsageError when one of the models that may answer does not continue a prefill."""
    for target in targets:
        if problem := prefill_problem(target):
            raise UsageError(f"prefill: {problem}", fix="remove prefill, or choose another model")
