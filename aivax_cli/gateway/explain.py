"""What a validator found, in the words of a person who edits YAML by hand."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping

from pydantic_core import ErrorDetails

from aivax_cli.gateway.ids import name_from, new_id
from aivax_cli.gateway.schema import SchemaView
from aivax_cli.gateway.secrets import looks_secret
from aivax_cli.gateway.yamltree import FieldPath, Tree, Trouble, Value

# What other tools call these fields.
_ALSO_CALLED = {
    "system": ("instructions",),
    "system_prompt": ("instructions",),
    "prompt": ("prompt_template",),
    "few_shot": ("examples",),
    "max_output_tokens": ("parameters", "max_completion_tokens"),
    "effort": ("parameters", "reasoning_effort"),
    "collection": ("knowledge", "collections"),
    "top_k": ("knowledge", "top"),
    "limit": ("knowledge", "top"),
    "url": ("model", "base_url"),
    "endpoint": ("model", "base_url"),
    "provider": ("model",),
    "prices": ("pricing",),
    "max_tokens": ("parameters", "max_completion_tokens"),
    "assistant_prefill": ("prefill",),
    "response_format": ("response_schema",),
    "json_schema": ("response_schema",),
    "functions": ("tools",),
    "mcp": ("tools",),
    "fallbacks": ("model",),
    "inherits": ("extends",),
    "base": ("extends",),
}
_SHOWN = 60


def explain(errors: Iterable[ErrorDetails], tree: Tree, schema: SchemaView) -> list[Trouble]:
    """One trouble for each error of pydantic, with the line it stands on.

    A required field that is only misspelled is one trouble, not two.
    """
    troubles: list[Trouble] = []
    meant: set[FieldPath] = set()
    missing: list[FieldPath] = []
    for error in errors:
        path = _path(error["loc"])
        kind = error["type"]
        if kind == "missing":
            missing.append(path)
        elif kind == "extra_forbidden":
            nearest = nearest_field(path, schema)
            if nearest:
                meant.add(nearest)
            troubles.append(Trouble(tree.key_line(path), path, _unknown(path, nearest, schema)))
        else:
            troubles.append(Trouble(tree.line(path), path, _problem(kind, error, path, tree, schema)))
    for path in missing:
        if path not in meant:
            troubles.append(Trouble(_line_of_missing(tree, path), path, _missing(path, tree, schema)))
    return troubles


def dotted(path: FieldPath) -> str:
    """`("examples", 1, "user")` → `examples[1].user`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def shown(value: object) -> str:
    """A value as a message quotes it: short, on one line, and never a credential."""
    text = " ".join(str(value).split())
    if looks_secret(text):
        return "a value that looks like a key"
    return f"'{text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'}'"


def nearest_field(path: FieldPath, schema: SchemaView) -> FieldPath | None:
    """The field that an unknown one was most likely meant to be: beside it, or at its place elsewhere."""
    here, name = path[:-1], str(path[-1])
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").replace(" ", "_").lower()
    beside = list(schema.fields(here))
    if snake in beside:
        return (*here, snake)
    if also := _ALSO_CALLED.get(snake):
        if also[-1] in beside:
            return (*here, also[-1])
        if not here and also[-1] in schema.fields(also[:-1]):
            return also
    for field in schema.every_field():
        if field[-1] == snake and not here:
            return field
    if close := difflib.get_close_matches(snake, beside, n=1, cutoff=0.6):
        return (*here, close[0])
    elsewhere = {field[-1]: field for field in reversed(list(schema.every_field()))}
    if snake in elsewhere:
        return elsewhere[snake]
    if not here and (close := difflib.get_close_matches(snake, elsewhere, n=1, cutoff=0.8)):
        return elsewhere[close[0]]
    return None


def _path(location: tuple[str | int, ...]) -> FieldPath:
    """pydantic's location without the tags of unions and the marks of keys."""
    return tuple(s for s in location if not (isinstance(s, str) and (s[:1] == "<" or s == "[key]")))


def _unknown(path: FieldPath, nearest: FieldPath | None, schema: SchemaView) -> str:
    if nearest is not None:
        same_place = nearest[:-1] == path[:-1]
        return f"unknown field; did you mean '{nearest[-1] if same_place else dotted(nearest)}'?"
    return f"unknown field; known here: {', '.join(schema.fields(path[:-1]))}"


def _line_of_missing(tree: Tree, path: FieldPath) -> int:
    if path in tree.places:
        return tree.key_line(path)
    return tree.key_line(path[:-1])


def _missing(path: FieldPath, tree: Tree, schema: SchemaView) -> str:
    required = "required, but empty" if path in tree.places else "required, but missing"
    if path == ("id",):
        return f"{required}; this one is unused: '{new_id()}'"
    if path == ("model",):
        return f'{required}; for example "@openai/gpt-5-mini"'
    if path == ("knowledge", "collections"):
        return f"{required}; for example [kb]"
    choices = schema.choices(path)
    return f"{required}; choose one of: {', '.join(choices)}" if choices else required


def _problem(kind: str, error: ErrorDetails, path: FieldPath, tree: Tree, schema: SchemaView) -> str:
    value = tree.at(path)
    if kind in _NUMBERS and _is_number(value):
        return _out_of_bounds(path, value, schema)
    if kind == "literal_error":
        return _not_a_choice(path, value, tree, schema)
    if kind == "string_pattern_mismatch":
        if "[key]" in error["loc"]:
            return f"{schema.name_rule(path[:-1])}, not {shown(path[-1])}"
        return _breaks_rule(path, value, schema)
    if kind in ("string_too_short", "too_short"):
        return "must not be empty"
    if expected := _TYPES.get(kind):
        lists_texts = expected == "a list" and schema.takes_text((*path, 0))
        return _wrong_type(expected, path, value, tree, suggests=expected != "a list" or lists_texts)
    # Our own validators word their problems themselves.
    return error["msg"].removeprefix("Value error, ")


_NUMBERS = {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"}
_TYPES: Mapping[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "is_instance_of": "a number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _out_of_bounds(path: FieldPath, value: Value, schema: SchemaView) -> str:
    least, most = schema.bounds(path)
    over = schema.more_than(path)
    if over is not None and most is not None:
        return f"must be more than {over:g} and at most {most:g}, not {value}"
    if least is not None and most is not None:
        return f"must be between {least:g} and {most:g}, not {value}"
    if least is not None:
        return f"must be {least:g} or more, not {value}"
    if most is not None:
        return f"must be {most:g} or less, not {value}"
    return f"must be greater than 0, not {value}"


def _not_a_choice(path: FieldPath, value: Value, tree: Tree, schema: SchemaView) -> str:
    choices = schema.choices(path)
    if not isinstance(value, str):
        return _wrong_type("text", path, value, tree) + f"; choose one of: {', '.join(choices)}"
    by_fold = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(re.sub(r"[-_ ]", "", value).lower(), by_fold, n=1, cutoff=0.5)
    if close:
        return f"must be one of {', '.join(choices)}, not {shown(value)}; did you mean '{by_fold[close[0]]}'?"
    return f"must be one of {', '.join(choices)}, not {shown(value)}"


def _breaks_rule(path: FieldPath, value: Value, schema: SchemaView) -> str:
    rule = schema.rule(path) or "is not written as it must be"
    if path and path[-1] == "api_key_env":
        return rule  # whatever stands there instead may be the key: it is not repeated
    if path == ("id",):
        return f"{rule}, not {shown(value)}; this one is unused: '{new_id()}'"
    name = name_from(str(value))
    suggestion = f"; did you mean '{name}'?" if path == ("name",) and name else ""
    return f"{rule}, not {shown(value)}{suggestion}"


def _wrong_type(expected: str, path: FieldPath, value: Value, tree: Tree, *, suggests: bool = True) -> str:
    place = tree.places.get(path)
    written = place.written if place else None
    suggest = _SUGGESTIONS.get(expected, _no_suggestion) if suggests else _no_suggestion
    described = _described(value, written)
    if path[-1:] == ("api_key_command",) and isinstance(value, str):
        value, written = ", ".join(value.split()), None
    return f"must be {expected}, not {described}{suggest(value, written)}"


def _described(value: Value, written: str | None) -> str:
    if isinstance(value, bool):
        typed = written or str(value).lower()
        meaning = "true" if value else "false"
        return meaning if typed.lower() == meaning else f"{typed}, which YAML reads as {meaning}"
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if _is_number(value):
        return f"the number {written or value}"
    return f"the text {shown(value)}"


def _no_suggestion(_value: Value, _written: str | None) -> str:
    return ""


def _for_text(value: Value, written: str | None) -> str:
    if isinstance(value, dict) and len(value) == 1 and list(value.values()) == [None]:
        return f'; put it in quotes: "{{{next(iter(value))}}}"'
    return "" if isinstance(value, (dict, list)) or not written else f'; put it in quotes: "{written}"'


def _for_number(value: Value, written: str | None) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", value):
        return ""
    return "; remove the quotes" if written is None else f"; write {float(value):f}"


def _for_list(value: Value, written: str | None) -> str:
    if isinstance(value, (dict, list)) or value is None:
        return ""
    text = written if written is not None else str(value)
    if text.startswith("@"):  # which no plain text of YAML may begin with
        text = f'"{text}"'
    return "" if len(text) > _SHOWN or looks_secret(text) else f"; write [{text}]"


def _for_mapping(_value: Value, _written: str | None) -> str:
    return "; write its fields below it, indented, one 'field: value' a line"


_SUGGESTIONS: Mapping[str, Callable[[Value, str | None], str]] = {
    "text": _for_text,
    "a whole number": _for_number,
    "a number": _for_number,
    "a list": _for_list,
    "a mapping": _for_mapping,
}
