"""Where an expression stands, and small questions about it and about texts. For the extraction only."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from msgspec import Struct, field

from aivax_cli.messages.sources import Function, Module, last_name

HOLE = "{}"
"""What stands for a value in a template."""
Texts = tuple[str, ...]
_DEEPEST = 7
SAME = frozenset({"safe_line", "safe_text", "str", "escape", "_escape", "Text", "_shortened", "said"})
"""Functions that return what they were given, as far as words go."""
TRIMS = frozenset(
    {"strip", "rstrip", "lstrip", "removeprefix", "removesuffix", "lower", "capitalize", "upper"}
)

NAMES = frozenset(
    {
        *("name", "field", "parameter", "path", "key", "variable", "host", "port", "column", "tag", "role"),
        *("file", "analysis", "version", "model", "host_and_port", "strategy"),
    }
)
"""What is called so is somebody's or something's name, whatever it may be: never a word of a sentence."""


class Scope(Struct, frozen=True):
    """Where an expression stands: its module, the functions around it, and what their parameters are."""

    module: Module
    functions: tuple[Function, ...] = ()
    bound: Mapping[str, Texts] = field(default_factory=dict)
    path: tuple[object, ...] = ()
    """What is being followed: a name that leads to itself is unknown."""

    def deeper(self, what: object) -> Scope | None:
        if what in self.path or len(self.path) >= _DEEPEST:
            return None
        return Scope(self.module, self.functions, self.bound, (*self.path, what))


def wordy(text: str) -> bool:
    """Whether there are words in it beside the values."""
    return sum(character.isalpha() for character in text.replace(HOLE, "")) > 1


def parameters(function: Function) -> list[str]:
    """The names of a function's parameters, in order; the one for further arguments after the plain ones."""
    given = function.args
    rest = [given.vararg] if given.vararg else []
    return [each.arg for each in (*given.posonlyargs, *given.args, *rest, *given.kwonlyargs)]


def default_of(function: Function, name: str) -> ast.expr | None:
    """The expression of a parameter's default, None where it has none."""
    plain = [*function.args.posonlyargs, *function.args.args]
    pairs = [*zip(reversed(plain), reversed(function.args.defaults), strict=False)]
    pairs += [
        (each, value)
        for each, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        if value is not None
    ]
    return next((value for each, value in pairs if each.arg == name), None)


def returns(function: Function, kind: str) -> bool:
    """Whether a function is annotated with this kind of result, or None besides."""
    said = ast.unparse(function.returns) if function.returns else ""
    return said.removesuffix(" | None") == kind


def is_property(function: Function) -> bool:
    """Whether a method is read like a field."""
    return any(last_name(each) == "property" for each in function.decorator_list)


def holds(target: ast.expr, name: str) -> bool:
    """Whether a name is among what is assigned to."""
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(target))


def trimmed(text: str, name: str, call: ast.Call) -> str:
    """A text after a method like `strip`, where its arguments are written out."""
    arguments = [each.value for each in call.args if isinstance(each, ast.Constant)]
    return str(getattr(text, name)(*arguments)) if len(arguments) == len(call.args) else text


def given(call: ast.Call, function: Function, name: str) -> list[ast.expr]:
    """What a call gives for a parameter: one expression, several for a `*parameter`, none for its default."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return [keyword.value]
    names = parameters(function)
    if names[:1] in (["self"], ["cls"]):
        names = names[1:]
    if name not in names:
        return []
    place = names.index(name)
    is_rest = function.args.vararg is not None and function.args.vararg.arg == name
    return call.args[place:] if is_rest else call.args[place : place + 1]


def put_into(node: ast.AST, name: str) -> tuple[ast.expr | None, ast.expr | None]:
    """What a statement puts into the list of this name: several at once, or one element."""
    match node:
        case ast.Assign([ast.Name(target)], value) | ast.AugAssign(ast.Name(target), _, value):
            return (value, None) if target == name else (None, None)
        case ast.AnnAssign(ast.Name(target), _, value) | ast.NamedExpr(ast.Name(target), value):
            return (value, None) if target == name else (None, None)
        case ast.Call(ast.Attribute(ast.Name(target), "append"), [value]) if target == name:
            return None, value
        case ast.Call(ast.Attribute(ast.Name(target), "insert"), [_, value]) if target == name:
            return None, value
        case ast.Call(ast.Attribute(ast.Name(target), "extend"), [value]) if target == name:
            return value, None
        case _:
            return None, None
