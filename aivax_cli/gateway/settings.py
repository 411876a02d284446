"""What `aivax.yaml`, at the root of a workspace, may hold."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from aivax_cli.gateway.basics import Definition, Pricing
from aivax_cli.gateway.fields import (
    BaseUrl,
    CommandWords,
    ServerUrl,
    VariableName,
    no_fields,
    no_items,
    pattern,
)


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


_SpaceName = Annotated[
    str,
    pattern(r"^[A-Za-z0-9][A-Za-z0-9._-]{2,127}$", "must be 3 to 128 letters, digits, '.', '_' and '-'"),
]


class StoreSettings(Definition):
    """A Chroma server, or Chroma Cloud, that indexes the vectors of every collection of the workspace."""

    url: ServerUrl
    """Where it is, e.g. `http://localhost:8000` or `https://api.trychroma.com`."""
    tenant: _SpaceName = "default_tenant"
    """The tenant, which must be there. On Chroma Cloud: the id that the dashboard shows."""
    database: _SpaceName = "default_database"
    """The tenant's database, which must be there."""
    api_key_env: VariableName | None = None
    """Environment variable that holds the key, which goes into the header `x-chroma-token`."""

    @field_validator("url")
    @classmethod
    def _callable(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            sound = bool(parts.hostname) and parts.port != 0
        except ValueError:
            sound = False
        if not sound:
            raise PydanticCustomError("store_url", "must be an address that can be called: host and port")
        return value.rstrip("/")


_ImageHost = Annotated[
    str,
    pattern(
        r"^(\*\.)?([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}(:[0-9]{1,5})?$",
        "must be a host in lower case, like images.example.com, *.example.com or example.com:8443",
    ),
]


class ServeSettings(Definition):
    """What `aivax serve` may do beside answering."""

    image_hosts: list[_ImageHost] = Field(default_factory=no_items)
    """Hosts that images in messages are fetched from: `images.example.com`, or `*.example.com` for every host
    below it. Others are refused, and so is every address that is not on the open internet."""


_PROVIDER_NAME = {
    "pattern": r"^[a-z0-9][a-z0-9._-]{0,31}$",
    "patternErrorMessage": "must be lower-case letters, digits, '.', '_' and '-', at most 32",
}


class WorkspaceSettings(Definition):
    """What `aivax.yaml`, at the root of a workspace, may hold."""

    providers: dict[Annotated[str, Field(pattern=_PROVIDER_NAME["pattern"])], ProviderSettings] = Field(
        default_factory=no_fields, json_schema_extra={"propertyNames": {**_PROVIDER_NAME}}
    )
    """Providers by name: `@NAME/model` in a gateway then goes to `base_url`."""
    prices: dict[str, Pricing] = Field(default_factory=no_fields)
    """What models cost, by reference: `"@provider/name"`. Wins over the built-in price table."""
    store: StoreSettings | None = None
    """Where the vectors are indexed. Without it: in `.aivax/chroma`, on this machine."""
    serve: ServeSettings = Field(default_factory=ServeSettings.model_construct)
    """What `aivax serve` may do beside answering."""
