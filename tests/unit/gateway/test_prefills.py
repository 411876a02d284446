"""Which models continue a prefill."""

import pytest

from aivax_cli.core.errors import UsageError
from aivax_cli.gateway.prefills import prefilling, refuse_prefill, where_continued
from aivax_cli.gateway.providers import PROVIDERS, resolve_model


@pytest.mark.parametrize(
    "model",
    [
        "@openai/gpt-5-mini",
        "@google/gemini-3-flash",
        "@anthropic/claude-sonnet-4-6",
        "@anthropic/claude-opus-4-6-20260205",
        "@anthropic/claude-opus-4-7",
        "@anthropic/claude-opus-5",
        "@anthropic/claude-sonnet-4-10",
    ],
)
def test_a_model_that_begins_anew_is_refused(model: str) -> None:
    target = resolve_model(model, PROVIDERS)
    with pytest.raises(UsageError, match=f"prefill: {model} does not continue a message of the assistant"):
        refuse_prefill([target])


@pytest.mark.parametrize(
    "model",
    [
        "@anthropic/claude-sonnet-4-5",
        "@anthropic/claude-opus-4-20250514",
        "@anthropic/claude-haiku-4-5-20251001",
        "@anthropic/claude-3-5-haiku-latest",
        "@mistral/mistral-small-latest",
        "@deepseek/deepseek-chat",
        "@groq/llama-3.3-70b-versatile",
        "@openrouter/meta-llama/llama-3.3-70b-instruct",
        "@ollama/llama3.2",
        "@lmstudio/qwen",
        "@local/qwen2.5-coder-0.5b",
    ],
)
def test_a_model_that_continues_is_let_through(model: str) -> None:
    refuse_prefill([resolve_model(model, PROVIDERS)])


def test_deepseek_continues_at_another_address() -> None:
    target = where_continued(resolve_model("@deepseek/deepseek-chat", PROVIDERS))
    assert target.base_url == "https://api.deepseek.com/beta"


def test_a_mistral_answer_repeats_the_prefill() -> None:
    assert prefilling(resolve_model("@mistral/mistral-small-latest", PROVIDERS)).echoes
