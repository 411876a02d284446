"""`--schema` and `--json-only`: the answer as JSON, for scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from aivax_cli.core.types import JsonValue
    from aivax_cli.gateway.workspace import LoadedGateway
    from aivax_cli.render.screen import Screen


def with_schema(gateway: LoadedGateway, given: str, directory: Path) -> LoadedGateway:
    """The gateway with a response schema from a file (relative to `directory`), a JSON text or a short form.

    Raises UsageError, in one line, when there is none, it is no JSON Schema, or the gateway locks its own.
    """
    gateway.refuse_locked("response_schema")
    try:
        schema = _schema(given.strip(), directory)
    except UsageError as error:
        raise UsageError(f"--schema: {error.message}", fix=error.fix) from error
    return gateway.with_definition(gateway.definition.model_copy(update={"response_schema": schema}))


def _schema(given: str, directory: Path) -> dict[str, JsonValue]:
    from aivax_cli.gateway.response_schema import file_schema, names_file, resolved_schema

    if names_file(given):
        return file_schema(given, directory, None)
    if not given.startswith("{"):
        return resolved_schema(given, directory, None)
    try:
        value = json.loads(given)
    except (ValueError, RecursionError) as error:
        raise UsageError("is not JSON", fix="put it in single quotes, or into a file") from error
    return resolved_schema(value, directory, None)


def print_value(screen: Screen, value: JsonValue) -> None:
    """The value alone on stdout: indented for a terminal, one line for a pipe."""
    indent = 2 if screen.out.is_terminal else None
    screen.write(json.dumps(value, ensure_ascii=False, indent=indent) + "\n")
