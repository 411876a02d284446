"""What every kind of definition is made of: the base model, references to models, prices.

The modules of definitions do without `from __future__ import annotations`: pydantic would compile each
annotation from its text, which takes a fifth of the time in which the models are made.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from aivax_cli.gateway.fields import BaseUrl, CommandWords, Usd, VariableName, text_or_mapping


class Definition(BaseModel):
    """Base of everything read from YAML: frozen, no unknown field passes, an empty field is an absent one."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: Any) -> Any:
        # `parameters:` above lines that are all commented out is None in YAML, and means nothing by it.
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


class Pricing(Definition):
    """What the model costs, in USD per million tokens. Wins over the built-in price table."""

    input: Usd
    """USD per million tokens of input."""
    output: Usd
    """USD per million tokens of output."""
    cached_input: Usd | None = None
    """Input that the endpoint had cached; costs as `input` when left out."""


class InlineModel(Definition):
    """An OpenAI-compatible endpoint that no provider table names."""

    base_url: BaseUrl
    """Root of the API, the part before `/chat/completions`, e.g. `http://localhost:11434/v1`."""
    name: Annotated[str, Field(min_length=1)]
    """The model's name as the endpoint knows it."""
    api_key_env: VariableName | None = None
    """Environment variable that holds the key."""
    api_key_command: CommandWords | None = None
    """Command, as a list of words, whose first output line is the key."""
    pricing: Pricing | None = None
    """What the model costs."""


ModelRef = Annotated[
    Annotated[str, Field(min_length=1), Tag("<text>")] | Annotated[InlineModel, Tag("<mapping>")],
    Discriminator(
        text_or_mapping,
        custom_error_type="model_form",
        custom_error_message="must be '@provider/name' in quotes, or a mapping with base_url and name",
    ),
]
