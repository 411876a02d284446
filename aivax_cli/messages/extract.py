"""Which texts of the sources a person may read, and what the catalogues lack or hold too much.

`python -m aivax_cli.messages.extract` prints what is missing and what is stale; with `--by-place` every text
with where it stands. Words reach a person through few doors: errors, notes, warnings, a command's help, a
table's head. What is handed to one of these doors is a text, followed back to where it is written.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from aivax_cli.messages.catalogue import read_catalogue
from aivax_cli.messages.paragraphs import paragraphs
from aivax_cli.messages.scope import HOLE, Scope, parameters, wordy
from aivax_cli.messages.sources import Module, Place, Sources, called_name, last_name
from aivax_cli.messages.values import Reader

_TOLD = frozenset(
    {
        *("problem", "reason", "fallback", "detail", "fix", "stopped", "incomplete", "change", "why"),
        *("verb", "gerund", "about", "note", "warning", "message", "hint", "notice"),
        *("damaged", "unusable", "mend", "custom_error_message"),
    }
)
"""Parameters and fields whose text ends up in front of a person, whatever is called with them."""
_DOORS = frozenset(
    {
        *("note", "warn", "say", "wait_for", "translate", "on_problem", "_on_problem", "on_note", "tell"),
        *("problem", "_fault", "fail", "said", "_said", "words", "confirm", "prompt", "Spoken"),
    }
)
"""Functions and methods whose first argument is read by a person."""
_HOLES = re.compile(r"\{\}(\{\})+")
_SPEAKING = (
    *("assets.fetch", "checks.assertions", "checks.asserting", "checks.cassettes", "checks.gating"),
    *("checks.judging", "checks.python_rule", "checks.results", "checks.retrieval"),
    *("cli.attachments", "cli.chat_copy", "cli.chat_quoting", "cli.check", "cli.check_generate"),
    *("cli.compare", "cli.conversation_input", "cli.doctor_collection", "cli.gateway_models", "cli.keys"),
    *("gateway.basics", "gateway.check_assertion", "gateway.check_file", "gateway.explain"),
    *("gateway.fields", "gateway.inheriting", "gateway.knowledge", "gateway.sections", "gateway.settings"),
    *("gateway.writing", "gateway.yamlsyntax", "gateway.yamltree"),
    *("ingest.importing", "ingest.jsonl", "ingest.readers", "ingest.run", "ingest.shelf"),
    *("model.engine", "model.failures", "model.message_reading", "model.reading", "model.remote_text"),
    *("model.wire", "prompt.schema_checks", "prompt.structured", "render.log_view"),
    *("retrieval.chroma_server", "retrieval.indexes", "retrieval.locking", "retrieval.part_building"),
    *("retrieval.served", "retrieval.snapshot_check", "retrieval.verification", "server.keys"),
    *("steps.asking", "steps.routing", "steps.structured", "steps.tools", "storage", "tools.box"),
    *("tools.http_tool", "tools.link", "tools.mcp_server", "tools.results", "usage.pricing"),
)
"""Modules whose functions put messages together that others hand on: every sentence in them is a text."""
_NO_SENTENCE = re.compile(
    r"\b(?:SELECT|FROM|PRAGMA|WHERE)\b|[\\^]|\(\?|\[\w-]+\]|^[A-Z]+ [A-Z]|/\*|;q=|^application/|\n|%[sd]|-$"
)
_HELPED = frozenset({"Option", "Argument", "Typer"})
_SECOND = frozenset({"PydanticCustomError", "pattern"})
"""Functions whose second argument is."""
_WORD = re.compile(r"[A-Za-z']{2,}")
_VALIDATING = (
    "aivax_cli.gateway",
    "aivax_cli.checks",
    "aivax_cli.retrieval.embedding",
    "aivax_cli.ingest.jsonl",
)
"""Where a ValueError's words become part of an error's."""
_SERVED = frozenset({"keys", "running", "workers"})
"""Modules of the server that speak to who starts it. The others speak to programs, in English."""
_ENGLISH = (
    "aivax_cli.messages",
    "aivax_cli.checks.reports",
    "aivax_cli.render.usage_page",
    "aivax_cli.gateway.reference",
    "aivax_cli.gateway.schema",
    "aivax_cli.gateway.docstrings",
    "aivax_cli.cli.reference",
    "aivax_cli.cli.man_page",
)


class Extraction:
    """The texts of a package: template → where it stands, `module:line`."""

    def __init__(self, root: Path) -> None:
        self._sources = Sources(root)
        self._reader = Reader(self._sources)
        self._errors = self._sources.family("AivaxError")
        self._fields = self._struct_fields()
        self.found: dict[str, str] = {}

    def run(self) -> dict[str, str]:
        """Reads everything. Without texts that hold no word, or nothing but one name's value."""
        for module in self._sources.modules.values():
            if not _in_english(module.name):
                for node in ast.walk(module.tree):
                    self._visit(module, node)
        return self.found

    def _visit(self, module: Module, node: ast.AST) -> None:
        if isinstance(node, ast.JoinedStr | ast.Constant):
            self._sentence(module, node)
        elif isinstance(node, ast.Call):
            place = Place(module, node)
            for argument in self._spoken(module, node):
                self._add(argument, place)
            for title in _titles(node):
                self._add(title, place)
        elif isinstance(node, ast.FunctionDef) and _is_command(node, module):
            for paragraph in paragraphs(ast.get_docstring(node) or ""):
                self._put(paragraph, f"{module.name}:{node.lineno}")

    def _sentence(self, module: Module, node: ast.JoinedStr | ast.Constant) -> None:
        """A text in a function of a module that speaks, unless it is a part of another one."""
        within = module.within.get(node, ())
        tells = within or module.name.startswith("aivax_cli.gateway.")
        if not tells or not _speaks(module.name) or node in module.parts:
            return
        for text in self._reader.texts(node, Scope(module, within)):
            if _is_sentence(text):
                self._put(text, f"{module.name}:{node.lineno}")
        self._reader.nested.clear()

    def _spoken(self, module: Module, call: ast.Call) -> Iterator[ast.expr]:
        """The arguments of a call that a person reads."""
        name = called_name(call)
        if name in _HELPED:
            yield from (each.value for each in call.keywords if each.arg in ("help", "metavar", "epilog"))
            return
        is_error = name in self._errors or (name == "__init__" and _of_error(module, call, self._errors))
        if (is_error or name in _DOORS) and call.args:
            yield call.args[0]
        if name == "Spoken":
            yield from (part.elts[0] for part in call.args[2:] if isinstance(part, ast.Tuple))
        if name == "ValueError" and module.name.startswith(_VALIDATING) and call.args:
            yield call.args[0]
        if name in _SECOND and len(call.args) > 1:
            yield call.args[1]
        for keyword in call.keywords:
            if keyword.arg in _TOLD:
                yield keyword.value
        for parameter, argument in zip(self._names(module, call), call.args, strict=False):
            if parameter in _TOLD and not (is_error and argument is call.args[0]):
                yield argument

    def _names(self, module: Module, call: ast.Call) -> list[str]:
        """The parameters or fields that a call's plain arguments stand for."""
        found = self._sources.function(module, call)
        if found:
            names = parameters(found[1])
            return names[1:] if names[:1] in (["self"], ["cls"]) else names
        return self._fields.get(called_name(call), [])

    def _add(self, argument: ast.expr, place: Place) -> None:
        scope = self._reader.at(place)
        texts = self._reader.texts(argument, scope)
        where = f"{place.module.name}:{place.node.lineno}"
        for text in (*texts, *self._reader.nested):
            self._put(text, where)
        self._reader.nested.clear()

    def _put(self, text: str, where: str) -> None:
        for clause in map(str.strip, re.split(r"; |\n", _HOLES.sub(HOLE, text))):
            if wordy(clause) and (" " in clause or not clause.startswith(("http://", "https://"))):
                self.found.setdefault(clause, where)

    def _struct_fields(self) -> dict[str, list[str]]:
        return {
            node.name: [
                each.target.id
                for each in node.body
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
            ]
            for module in self._sources.modules.values()
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ClassDef) and any(ast.unparse(each) == "Struct" for each in node.bases)
        }


def _titles(call: ast.Call) -> Iterator[ast.expr]:
    """The words of a table: heads, feet, its title."""
    name = called_name(call)
    if name == "add_column":
        yield from call.args[:1]
        yield from (each.value for each in call.keywords if each.arg in ("header", "footer"))
    if name == "Table":
        yield from (each.value for each in call.keywords if each.arg in ("title", "caption"))
    if name == "Command":
        yield from call.args[:2]


def _in_english(module: str) -> bool:
    parts = module.split(".")
    if len(parts) > 2 and parts[1] == "server" and parts[2] not in _SERVED:
        return True
    return module.startswith(_ENGLISH)


def _is_sentence(text: str) -> bool:
    words = _WORD.findall(text)
    # One word beside a value is a text too, unless it is so short or so great that it is part of a name.
    alone = len(words) == 1 and HOLE in text and len(words[0]) > 3 and words[0].islower()
    return (alone or len(words) > 1) and " " in text.strip() and not _NO_SENTENCE.search(text)


def _speaks(module: str) -> bool:
    return module.removeprefix("aivax_cli.").startswith(_SPEAKING)


def _of_error(module: Module, call: ast.Call, errors: frozenset[str]) -> bool:
    """Whether `super().__init__(…)` stands in a class of the errors."""
    return any(
        isinstance(node, ast.ClassDef)
        and node.name in errors
        and any(each is call for each in ast.walk(node))
        for node in module.tree.body
    )


def _is_command(function: ast.FunctionDef, module: Module) -> bool:
    decorated = [each.func for each in function.decorator_list if isinstance(each, ast.Call)]
    if any(last_name(each) in ("command", "group_default", "callback") for each in decorated):
        return True
    return module.name == f"aivax_cli.cli.{function.name}" and function.name not in ("command", "lazy_group")


def main() -> int:
    """Prints what is missing and what is stale; 1 when there is any of it."""
    root = Path(__file__).parent.parent
    found = Extraction(root).run()
    if "--by-place" in sys.argv:
        for text, where in found.items():
            _print(f"{where}\t{text}")
        return 0
    known = read_catalogue("pt")
    missing = [text for text in found if text not in known]
    stale = [text for text in known if text not in found]
    for text in missing:
        _print(f"missing\t{found[text]}\t{text}")
    for text in stale:
        _print(f"stale\t{text}")
    return 1 if missing or stale else 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
