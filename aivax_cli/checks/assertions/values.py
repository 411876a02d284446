"""Rules about JSON answers and about what a turn did: tools, terms, route, time, cost."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from aivax_cli.checks.assertions.base import Found, Ground, excerpt
from aivax_cli.checks.results import Answer
from aivax_cli.gateway.check_assertion import Assertion, ToolExpectation, texts

# Compiled at their first use: most runs do without them.
_CITED = r"\[(\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\]"
_STEP = r"([^.\[\]]+)|\[(\d+|\*)\]"


def parsed(answer: Answer) -> tuple[Any, str]:
    """The answer as JSON, or why it is none. A structured answer has been read already."""
    if answer.structured is not None:
        return answer.structured, ""
    try:
        return json.loads(answer.text), ""
    except (ValueError, RecursionError) as error:
        return None, f"is no JSON: {error}"


def is_json(assertion: Assertion, answer: Answer) -> Found:
    _, problem = parsed(answer)
    holds = (problem == "") is assertion.is_json
    return Found(
        holds, "JSON" if assertion.is_json else "no JSON", excerpt(answer.text), problem or "is JSON"
    )


def json_schema(assertion: Assertion, answer: Answer, ground: Ground) -> Found:
    import jsonschema
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    schema: Any = assertion.json_schema
    if isinstance(schema, str):
        file = ground.find(schema)
        if file is None:
            return Found(None, reason=f"no such file: {schema}")
        try:
            schema = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            return Found(None, reason=f"the schema {assertion.json_schema} cannot be read: {error}")
    value, problem = parsed(answer)
    if problem:
        return Found(False, "JSON that holds to the schema", excerpt(answer.text), problem)
    try:
        validator = jsonschema.validators.validator_for(schema)
        validator.check_schema(schema)
        # An empty registry: without one, jsonschema fetches what `$ref` names.
        checked = validator(schema, registry=Registry())
        faults = sorted(checked.iter_errors(value), key=lambda fault: list(map(str, fault.path)))
    except jsonschema.SchemaError as error:
        return Found(None, reason=f"no JSON Schema: {error.message}")
    except Unresolvable as error:
        return Found(None, reason=f"the schema names what it does not hold: {error.ref}")
    except RecursionError:
        return Found(None, reason="the schema goes in circles")
    said = "; ".join(f"{fault.json_path}: {fault.message}" for fault in faults[:3])
    return Found(not faults, "JSON that holds to the schema", excerpt(answer.text), said)


def json_path(assertion: Assertion, answer: Answer) -> Found:
    wanted = assertion.json_path
    if wanted is None:
        return Found(None, reason="no path")
    value, problem = parsed(answer)
    if problem:
        return Found(False, wanted.path, excerpt(answer.text), problem)
    found = list(_at(value, wanted.path))
    if "equals" in wanted.model_fields_set:
        holds, said = wanted.equals in found, f"= {json.dumps(wanted.equals, ensure_ascii=False)}"
    elif wanted.matches is not None:
        pattern = wanted.matches
        holds = any(re.search(pattern, each if isinstance(each, str) else json.dumps(each)) for each in found)
        said = f"matches /{pattern}/"
    else:
        holds, said = bool(found), "is there"
    shown = ", ".join(json.dumps(each, ensure_ascii=False) for each in found) or "nothing"
    return Found(holds, f"{wanted.path} {said}", excerpt(shown), f"{wanted.path} is {excerpt(shown)}")


def cites(assertion: Assertion, answer: Answer) -> Found:
    numbers = {int(n) for group in re.findall(_CITED, answer.text) for n in re.findall(r"\d+", group)}
    cited = [p.source.document for p in answer.passages if p.rank in numbers]
    missing = [p for p in texts(assertion.cites) if not any(names(document, p) for document in cited)]
    listed = ", ".join(dict.fromkeys(cited)) or "nothing"
    return Found(
        not missing, ", ".join(texts(assertion.cites)), listed, f"does not cite {', '.join(missing)}"
    )


def names(document: str, pattern: str) -> bool:
    """Whether a pattern names a document: its whole path, its end, or with `*` and `?`."""
    return fnmatchcase(document, pattern) or document.endswith(f"/{pattern}") or document == pattern


def finish_reason(assertion: Assertion, answer: Answer) -> Found:
    actual = answer.finish_reason or "none"
    return Found(
        actual == assertion.finish_reason, assertion.finish_reason or "", actual, f"ended by {actual}"
    )


def tool_called(assertion: Assertion, answer: Answer) -> Found:
    wanted = assertion.tool_called
    if isinstance(wanted, str):
        wanted = ToolExpectation(name=wanted)
    if wanted is None:
        return Found(None, reason="no tool")
    made = [run.call for run in answer.tools if run.call.name == wanted.name]
    holds = any(wanted.arguments.items() <= _arguments(call.arguments).items() for call in made)
    shown = ", ".join(f"{run.call.name}({run.call.arguments})" for run in answer.tools) or "none"
    said = f"{wanted.name}({json.dumps(wanted.arguments, ensure_ascii=False)})"
    why = f"{wanted.name} was called with other arguments" if made else f"{wanted.name} was not called"
    return Found(holds, said, excerpt(shown), why)


def tools_in_order(assertion: Assertion, answer: Answer) -> Found:
    called = [run.call.name for run in answer.tools]
    rest = iter(called)
    missing = [name for name in texts(assertion.tools_in_order) if name not in rest]
    order = " → ".join(called) or "none"
    return Found(
        not missing,
        " → ".join(texts(assertion.tools_in_order)),
        order,
        f"called {order}, in which {missing} lack",
    )


def search_terms(assertion: Assertion, answer: Answer) -> Found:
    searched = "\n".join(answer.search_terms)
    missing = [text for text in texts(assertion.search_terms) if text.casefold() not in searched.casefold()]
    shown = " | ".join(answer.search_terms) or "nothing"
    said = ", ".join(map(repr, missing))
    return Found(
        not missing, ", ".join(texts(assertion.search_terms)), excerpt(shown), f"{said} was not searched"
    )


def routed_to(assertion: Assertion, answer: Answer) -> Found:
    actual = f"{answer.routed or 'no level'}, {answer.model}"
    holds = assertion.routed_to in (answer.routed, answer.model, answer.model.rpartition("/")[2])
    return Found(holds, assertion.routed_to or "", actual, f"routed to {actual}")


def latency_ms(assertion: Assertion, answer: Answer) -> Found:
    most = assertion.latency_ms or 0
    holds = answer.replayed or answer.latency_ms <= most
    return Found(
        holds, f"at most {most:g} ms", f"{answer.latency_ms:.0f} ms", f"took {answer.latency_ms:.0f} ms"
    )


def usd(assertion: Assertion, answer: Answer) -> Found:
    most = assertion.usd or 0
    if answer.usd is None:
        return Found(None, f"at most {most} USD", "unpriced", "a model of this turn has no price")
    return Found(answer.usd <= most, f"at most {most} USD", f"{answer.usd} USD", f"cost {answer.usd} USD")


def tokens_out(assertion: Assertion, answer: Answer) -> Found:
    most = assertion.tokens_out or 0
    said = f"{answer.tokens_out} tokens"
    return Found(answer.tokens_out <= most, f"at most {most} tokens", said, f"has {said}")


def similar(assertion: Assertion, answer: Answer, ground: Ground) -> Found:
    wanted = assertion.similar
    if wanted is None or ground.similarity is None:
        return Found(None, reason="there is no embedder to compare with")
    score = ground.similarity(wanted.to, answer.text)
    said = f"similarity {score:.2f}"
    return Found(score >= wanted.min, f"at least {wanted.min:g} to {excerpt(wanted.to)!r}", said, said)


def _arguments(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _at(value: Any, path: str) -> Iterator[Any]:
    """Every value at a path such as `items[0].name`; `$.` before it may stand."""
    found = [value]
    for name, index in re.findall(_STEP, path.removeprefix("$").lstrip(".")):
        below: list[Any] = []
        for each in found:
            if index == "*" and isinstance(each, (list, dict)):
                below += each if isinstance(each, list) else each.values()
            elif index and isinstance(each, list) and int(index) < len(each):
                below.append(each[int(index)])
            elif name and isinstance(each, dict) and name in each:
                below.append(each[name])
        found = below
    yield from found
