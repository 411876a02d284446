"""What single fields of the definitions may hold, wherever they stand."""

from __future__ import annotations

import ipaddress
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema


def no_items() -> list[Any]:
    """An empty list, for `default_factory`: of `list` itself pydantic parses the signature at every field."""
    return []


def no_fields() -> dict[str, Any]:
    """The same in place of `dict`."""
    return {}


def number_to_decimal(value: object) -> object:
    """YAML's numbers as the decimal that was written: 0.1 is exactly 0.1."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Decimal(str(value))
    return value


def text_or_mapping(value: object) -> str | None:
    """The tag of a field's form, for a discriminator; None for any other."""
    if isinstance(value, str):
        return "<text>"
    return "<mapping>" if isinstance(value, (dict, BaseModel)) else None


def text_or_list(value: object) -> str | None:
    """The same where the choice is between a text and a list."""
    if isinstance(value, str):
        return "<text>"
    return "<list>" if isinstance(value, (list, tuple)) else None


def on_this_machine(url: str) -> bool:
    """Whether an address is a loopback one: it runs on the user's own machine."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
        if host == "localhost" or host.endswith(".localhost"):
            return True
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def pattern(pattern: str, rule: str) -> Any:
    """A pattern with its rule in words, for editors and for our own errors."""
    return Field(pattern=pattern, json_schema_extra={"patternErrorMessage": rule})


Usd = Annotated[
    Decimal,
    BeforeValidator(number_to_decimal),
    Field(ge=0, allow_inf_nan=False),
    WithJsonSchema({"type": "number", "minimum": 0}),
]
BaseUrl = Annotated[
    str,
    Field(
        pattern=r"^https?://[^\s/]",
        json_schema_extra={
            # An editor sees what is written: a variable may stand for the beginning.
            "pattern": r"^(https?://[^\s/]|\$\{[A-Za-z_])",
            "patternErrorMessage": "must start with http:// or https://",
        },
    ),
]
ServerUrl = Annotated[
    str,
    pattern(
        r"^https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?$",
        "must be the server's address, such as http://localhost:8000, without a user, '?' or '#'",
    ),
]
VariableName = Annotated[
    str,
    pattern(
        r"^[A-Za-z_][A-Za-z0-9_]*$",
        "must be the name of an environment variable, such as OPENAI_API_KEY, never the key itself",
    ),
]
CommandWords = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
StopTexts = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[list[str], Tag("<list>")],
    Discriminator(
        text_or_list,
        custom_error_type="stop_form",
        custom_error_message="must be a text or a list of texts; a number needs quotes",
    ),
]
