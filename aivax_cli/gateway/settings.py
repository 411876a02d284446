"""What `aivax.yaml`, at the root of a workspace, may hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from aivax_cli.gateway.basics import Definition, Pricing
from aivax_cli.gateway.fields import BaseUrl, CommandWords, VariableName


class ProviderSettings(Definition):
    """A provider of `aivax.yaml`: a new one, or changes to a built-in one."""

    base_url: BaseUrl | None = None
    """Root of the API. Required for a provider that is not built in. When it replaces a built-in one, name
    the key again too: a key is sent nowhere but where a file says so."""
    api_key_env: VariableName | None = None
    """Environment variable that holds the key."""
    api_key_command: CommandWords | None = None
    """Command, as a list of words, whose first output line is the key."""
    free: bool | None = None
    """Whether nobody bills for its models. When left out: true for endpoints on this machine."""


_PROVIDER_NAME = {
    "pattern": r"^[a-z0-9][a-z0-9._-]{0,31}$",
    "patternErrorMessage": "must be lower-case letters, digits, '.', '_' and '-', at most 32",
}


class WorkspaceSettings(Definition):
    """What `aivax.yaml`, at the root of a workspace, may hold."""

    providers: dict[Annotated[str, Field(pattern=_PROVIDER_NAME["pattern"])], ProviderSettings] = Field(
        default_factory=dict, json_schema_extra={"propertyNames": {**_PROVIDER_NAME}}
    )
    """Providers by name: `@NAME/model` in a gateway then goes to `base_url`."""
    prices: dict[str, Pricing] = Field(default_factory=dict)
    """What models cost, by reference: `"@provider/name"`. Wins over the built-in price table."""
