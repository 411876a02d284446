"""The package's own sources as an index: who defines what, and who calls whom. For the extraction only."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(Struct, frozen=True, eq=False):
    """One file: its top-level names, what it imports from where, every function and the calls in it."""

    name: str
    tree: ast.Module
    constants: Mapping[str, ast.expr]
    imports: Mapping[str, tuple[str, str]]
    functions: Mapping[str, tuple[Function, ...]]
    within: Mapping[ast.AST, tuple[Function, ...]]
    """The functions around a node, the innermost first."""
    parts: frozenset[ast.AST]
    """Texts that are part of another, or no words at all: pieces of f-strings, docstrings, keys."""


class Place(Struct, frozen=True, eq=False):
    """A node that is called or stands somewhere, with its module."""

    module: Module
    node: ast.Call


class Sources:
    """Every module of a package, and the calls by the called function's name."""

    def __init__(self, root: Path) -> None:
        package = root.name
        files = sorted(file for file in root.rglob("*.py") if "__pycache__" not in file.parts)
        self.modules = {
            name: read_module(name, file.read_text(encoding="utf-8"))
            for file in files
            for name in [_module_name(package, root, file)]
        }
        self.calls: dict[str, list[Place]] = {}
        self.definitions: dict[str, list[tuple[Module, Function]]] = {}
        for module in self.modules.values():
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call):
                    self.calls.setdefault(called_name(node), []).append(Place(module, node))
            for name, functions in module.functions.items():
                self.definitions.setdefault(name, []).extend((module, each) for each in functions)

    def family(self, base: str) -> frozenset[str]:
        """The names of a class and of every class that comes from it."""
        found = {base}
        classes = [
            node
            for module in self.modules.values()
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ClassDef)
        ]
        before = 0
        while len(found) > before:
            before = len(found)
            found |= {
                each.name for each in classes if any(last_name(parent) in found for parent in each.bases)
            }
        return frozenset(found)

    def function(self, module: Module, call: ast.Call) -> tuple[Module, Function] | None:
        """The one function of the package that a call can only mean, None where that is not sure."""
        name = called_name(call)
        here = module.functions.get(name, ())
        plain = isinstance(call.func, ast.Name)
        own = isinstance(call.func, ast.Attribute) and last_name(call.func.value) in ("self", "cls")
        if (plain or own) and len(here) == 1:
            return module, here[0]
        if plain and name in module.imports:
            origin, original = module.imports[name]
            there = self.modules.get(origin)
            found = there.functions.get(original, ()) if there else ()
            return (there, found[0]) if there and len(found) == 1 else None
        known = self.definitions.get(name, [])
        is_method = len(known) == 1 and _is_method(known[0][1])
        return known[0] if not plain and is_method else None

    def callers(self, function: Function) -> Iterator[Place]:
        """The calls that mean this function."""
        for place in self.calls.get(function.name, ()):
            if (found := self.function(place.module, place.node)) and found[1] is function:
                yield place


def read_module(name: str, text: str) -> Module:
    """One module's index. Raises SyntaxError."""
    tree = ast.parse(text)
    constants: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            constants[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            constants[node.target.id] = node.value
    imports = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    functions: dict[str, list[Function]] = {}
    within: dict[ast.AST, tuple[Function, ...]] = {}
    _place(tree, (), functions, within)
    named = {key: tuple(found) for key, found in functions.items()}
    return Module(name, tree, constants, imports, named, within, frozenset(_parts(tree)))


def called_name(call: ast.Call) -> str:
    """The last name of what is called: `f` of `a.b.f(…)`, "" where it has none."""
    return last_name(call.func)


def last_name(node: ast.expr) -> str:
    """`c` of `a.b.c`, "" for what is no name."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """What stands in a function itself, without the functions inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def _is_method(function: Function) -> bool:
    return bool(function.args.args) and function.args.args[0].arg in ("self", "cls")


def _parts(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values):
                yield from values
            case ast.Expr(value):
                yield value
            case ast.AnnAssign(annotation=quoted) | ast.FunctionDef(returns=ast.Constant() as quoted):
                yield quoted
            case ast.Compare() | ast.Call(ast.Name("AssertionError")):
                yield from ast.walk(node)
            case ast.Call(ast.Attribute(attr="removeprefix" | "replace"), args):
                yield from args
            case ast.Tuple([ast.Constant() as sign, ast.Constant(bool()), *_]):
                yield sign  # what a message of a library is known by
            case _:
                pass


def _place(
    node: ast.AST,
    around: tuple[Function, ...],
    functions: dict[str, list[Function]],
    within: dict[ast.AST, tuple[Function, ...]],
) -> None:
    for child in ast.iter_child_nodes(node):
        within[child] = around
        inside = around
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.setdefault(child.name, []).append(child)
            inside = (child, *around)
        _place(child, inside, functions, within)


def _module_name(package: str, root: Path, file: Path) -> str:
    parts = [package, *file.relative_to(root).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
