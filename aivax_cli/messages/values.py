"""What texts an expression of the sources can become: templates with `{}` where a value will stand.

Not an interpreter: it follows literals, f-strings, branches, local names, constants and the package's own
functions as far as that is simple. What it cannot follow is a `{}`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from aivax_cli.messages.scope import (
    HOLE,
    NAMES,
    SAME,
    TRIMS,
    Scope,
    Texts,
    default_of,
    given,
    holds,
    is_property,
    parameters,
    put_into,
    returns,
    trimmed,
    wordy,
)
from aivax_cli.messages.sources import Function, Module, Place, Sources, called_name, last_name, own_nodes

_MOST = 24
"""Readings of one expression; with more, its parts are looked at apart."""
_FIELD = re.compile(r"\{\w*\}")

_UNKNOWN: Texts = (HOLE,)


class Reader:
    """Reads expressions. `nested` gathers the texts that become a value of another text."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.nested: set[str] = set()

    def at(self, place: Place) -> Scope:
        """The scope in which a call's arguments stand."""
        return Scope(place.module, place.module.within.get(place.node, ()))

    def texts(self, node: ast.expr | None, scope: Scope) -> Texts:
        """The templates that the expression can be."""
        if node is None:
            return ()
        found = tuple(dict.fromkeys(self._read(node, scope)))
        if len(found) > _MOST:
            self._keep(found)
            return _UNKNOWN
        return found

    def elements(self, node: ast.expr, scope: Scope) -> Texts:
        """The templates of what a list, a generator or a function that yields can hold."""
        return tuple(dict.fromkeys(self._elements(node, scope)))

    def _read(self, node: ast.expr, scope: Scope) -> Iterable[str]:
        match node:
            case ast.Constant(value=None):
                return ()
            case ast.Constant(value=str() | int() as value) if not isinstance(value, bool):
                return (str(value),)
            case ast.JoinedStr(values):
                return self._joined([self._piece(value, scope) for value in values])
            case ast.BinOp(ast.Constant(int()), _, _) | ast.BinOp(_, _, ast.Constant(int())):
                return _UNKNOWN
            case ast.BinOp(left, ast.Add(), right):
                return self._joined([self.texts(left, scope), self.texts(right, scope)])
            case ast.IfExp(_, body, orelse):
                return (*self.texts(body, scope), *self.texts(orelse, scope))
            case ast.BoolOp(_, values):
                return [text for value in values for text in self.texts(value, scope)]
            case ast.Name(name):
                return self._named(name, scope)
            case ast.NamedExpr(_, value) | ast.Await(value):
                return self.texts(value, scope)
            case ast.Call():
                return self._called(node, scope)
            case ast.Subscript(value, _):
                return self._chosen(value, scope)
            case ast.Attribute():
                return self._attribute(node, scope)
            case _:
                return _UNKNOWN

    def _piece(self, node: ast.expr, scope: Scope) -> Texts:
        """A part of an f-string: literal choices become part of the text, sentences a text of their own."""
        if not isinstance(node, ast.FormattedValue):
            return self.texts(node, scope)
        if node.format_spec is not None or node.conversion != -1:
            return _UNKNOWN
        found = () if last_name(node.value) in NAMES else self.texts(node.value, scope)
        if not found:
            return _UNKNOWN
        if not any(HOLE in text for text in found) or (len(found) == 1 and wordy(found[0])):
            return found
        if len(found) <= 4 and all(text[:1] in (" ", "") for text in found):
            return found
        self._keep(found)
        return _UNKNOWN

    def _keep(self, texts: Iterable[str]) -> None:
        """Texts that become a value of another one. A single word may as well be somebody's name."""
        self.nested.update(text for text in texts if wordy(text) and " " in text.strip())

    def _joined(self, pieces: Sequence[Texts]) -> Iterator[str]:
        count = 1
        for index, piece in enumerate(pieces):
            count *= len(piece) or 1
            if count > _MOST:
                self._keep(piece)
                pieces = [*pieces[:index], _UNKNOWN, *pieces[index + 1 :]]
                count //= len(piece)
        yield from ("".join(parts) for parts in product(*(piece or ("",) for piece in pieces)))

    # Names

    def _named(self, name: str, scope: Scope) -> Iterable[str]:
        if name in scope.bound:
            return scope.bound[name]
        for depth, function in enumerate(scope.functions):
            there = Scope(scope.module, scope.functions[depth:], scope.bound, scope.path)
            inner = there.deeper((function, name))
            if inner is None:
                return _UNKNOWN
            if found := [*self._assigned(name, function, inner)]:
                return found
            if name in parameters(function):
                return self._passed(name, function, inner)
        return self._constant(name, scope)

    def _constant(self, name: str, scope: Scope) -> Iterable[str]:
        found = self.constant(name, scope)
        return self.texts(found[0], found[1]) if found else _UNKNOWN

    def constant(self, name: str, scope: Scope) -> tuple[ast.expr, Scope] | None:
        """A name of the module or one that it imports, as the expression that defines it."""
        inner = scope.deeper(name)
        if inner is None:
            return None
        if name in scope.module.constants:
            return scope.module.constants[name], Scope(scope.module, path=inner.path)
        origin, original = scope.module.imports.get(name, ("", ""))
        there = self._sources.modules.get(origin)
        if there and original in there.constants:
            return there.constants[original], Scope(there, path=inner.path)
        return None

    def _assigned(self, name: str, function: Function, scope: Scope) -> Iterator[str]:
        plain: list[str] = []
        added: list[str] = []
        for node in own_nodes(function):
            match node:
                case ast.Assign([ast.Name(target)], value) if target == name:
                    plain += self.texts(value, scope)
                case ast.Assign(targets, value) if any(holds(target, name) for target in targets):
                    plain += [
                        text for target in targets for text in self._unpacked(target, value, name, scope)
                    ]
                case ast.AnnAssign(ast.Name(target), _, value) if target == name and value:
                    plain += self.texts(value, scope)
                case ast.NamedExpr(ast.Name(target), value) if target == name:
                    plain += self.texts(value, scope)
                case ast.AugAssign(ast.Name(target), ast.Add(), value) if target == name:
                    added += self.texts(value, scope)
                case ast.For(target, values) | ast.comprehension(target, values) if holds(target, name):
                    plain += self._iterated(target, values, name, scope)
                case _:
                    pass
        yield from plain
        yield from (before + after for before in plain for after in added)

    def _unpacked(self, target: ast.expr, value: ast.expr, name: str, scope: Scope) -> Texts:
        """What `a, b = x, y` gives the name."""
        if isinstance(value, ast.IfExp):
            both = (self._unpacked(target, each, name, scope) for each in (value.body, value.orelse))
            return tuple(text for texts in both for text in texts)
        if isinstance(value, ast.Call) and (found := self._inside(value, scope)):
            function, inner = found
            returned = [
                each.value for each in own_nodes(function) if isinstance(each, ast.Return) and each.value
            ]
            both = (self._unpacked(target, each, name, inner) for each in returned)
            return tuple(dict.fromkeys(text for texts in both for text in texts)) or _UNKNOWN
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for each, part in zip(target.elts, value.elts, strict=False):
                if isinstance(each, ast.Name) and each.id == name:
                    return self.texts(part, scope)
        return _UNKNOWN

    def _iterated(self, target: ast.expr, values: ast.expr, name: str, scope: Scope) -> Iterable[str]:
        """What a loop's variable can be."""
        if isinstance(target, ast.Name):
            return self.elements(values, scope) or _UNKNOWN
        literal, there = self._literal(values, scope)
        if isinstance(literal, ast.Dict) and isinstance(target, ast.Tuple):
            column = next((i for i, each in enumerate(target.elts) if last_name(each) == name), None)
            chosen = literal.keys if column == 0 else literal.values
            return [text for each in chosen if each for text in self.texts(each, there)] or _UNKNOWN
        found: list[str] = []
        if isinstance(literal, ast.Tuple | ast.List):
            for each in literal.elts:
                found += self._unpacked(target, each, name, there)
        return found or _UNKNOWN

    def _literal(self, node: ast.expr, scope: Scope) -> tuple[ast.expr, Scope]:
        """A name's own literal, `.items()` of a dict as that dict."""
        if isinstance(node, ast.Call) and called_name(node) in ("items", "values", "keys"):
            assert isinstance(node.func, ast.Attribute)
            return self._literal(node.func.value, scope)
        if isinstance(node, ast.Name):
            for function in scope.functions:
                for each in own_nodes(function):
                    if isinstance(each, ast.Assign) and last_name(each.targets[0]) == node.id:
                        return each.value, scope
            if found := self.constant(node.id, scope):
                return found
        return node, scope

    # Functions

    def _passed(self, name: str, function: Function, scope: Scope) -> Texts:
        """What the callers of a function give for a parameter."""
        found: list[str] = []
        for place in self._sources.callers(function):
            there = Scope(place.module, place.module.within.get(place.node, ()), {}, scope.path)
            found += self._argument(place.node, function, name, there)
        default = default_of(function, name)
        found += self.texts(default, Scope(scope.module, path=scope.path)) if default else ()
        return tuple(dict.fromkeys(found)) or _UNKNOWN

    def _argument(self, call: ast.Call, function: Function, name: str, scope: Scope) -> Texts:
        return tuple(text for each in given(call, function, name) for text in self.texts(each, scope))

    def _called(self, call: ast.Call, scope: Scope) -> Iterable[str]:
        name = called_name(call)
        if name in SAME and call.args:
            return self.texts(call.args[0], scope)
        if isinstance(call.func, ast.Attribute):
            if name == "join" and call.args:
                self._keep(self.elements(call.args[0], scope))
                return _UNKNOWN
            if name == "format":
                return [_FIELD.sub(HOLE, text) for text in self.texts(call.func.value, scope)]
            if name in TRIMS:
                return [trimmed(text, name, call) for text in self.texts(call.func.value, scope)]
            if name == "get":
                defaults = self.texts(call.args[1], scope) if len(call.args) > 1 else ()
                return (*self._chosen(call.func.value, scope), *defaults)
        if name == "next" and call.args:
            defaults = self.texts(call.args[1], scope) if len(call.args) > 1 else ()
            return (*self.elements(call.args[0], scope), *defaults)
        return self._returned(call, scope)

    def _returned(self, call: ast.Call, scope: Scope) -> Iterable[str]:
        found = self._inside(call, scope)
        if found is None:
            return _UNKNOWN
        function, inner = found
        if not returns(function, "str"):
            return _UNKNOWN
        values = [node.value for node in own_nodes(function) if isinstance(node, ast.Return) and node.value]
        return [text for value in values for text in self.texts(value, inner)]

    def _inside(self, call: ast.Call, scope: Scope) -> tuple[Function, Scope] | None:
        """The function that is called, with its parameters as the call has them."""
        found = self._sources.function(scope.module, call)
        if found is None:
            return None
        module, function = found
        inner = scope.deeper(function)
        if inner is None:
            return None
        bound = {
            name: self._argument(call, function, name, scope) or self._default(function, name, module)
            for name in parameters(function)
            if name not in ("self", "cls")
        }
        return function, Scope(module, (function,), bound, inner.path)

    def _default(self, function: Function, name: str, module: Module) -> Texts:
        default = default_of(function, name)
        return self.texts(default, Scope(module)) if default else _UNKNOWN

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Iterable[str]:
        """A property of the package that is the only one of its name."""
        known = self._sources.definitions.get(node.attr, [])
        if len(known) != 1 or not is_property(known[0][1]) or not returns(known[0][1], "str"):
            return _UNKNOWN
        module, function = known[0]
        inner = scope.deeper(function)
        if inner is None:
            return _UNKNOWN
        there = Scope(module, (function,), {}, inner.path)
        values = [each.value for each in own_nodes(function) if isinstance(each, ast.Return) and each.value]
        return [text for value in values for text in self.texts(value, there)]

    def _chosen(self, node: ast.expr, scope: Scope) -> Texts:
        """What `table[key]` can be, where the table is a literal."""
        if isinstance(node, ast.Subscript):
            inner, there = self._literal(node.value, scope)
            tables = inner.values if isinstance(inner, ast.Dict) else []
            return tuple(text for table in tables for text in self.elements(table, there)) or _UNKNOWN
        literal, there = self._literal(node, scope)
        if isinstance(literal, ast.Dict):
            return tuple(text for value in literal.values for text in self.texts(value, there))
        return _UNKNOWN

    def _elements(self, node: ast.expr, scope: Scope) -> Iterable[str]:
        match node:
            case ast.Tuple(elts) | ast.List(elts) | ast.Set(elts):
                return [text for each in elts for text in self._element(each, scope)]
            case ast.Dict(keys):
                return [text for key in keys if key for text in self.texts(key, scope)]
            case ast.ListComp(elt) | ast.GeneratorExp(elt) | ast.SetComp(elt):
                return self._comprehended(node, elt, scope)
            case ast.BinOp(left, ast.Add(), right):
                return (*self.elements(left, scope), *self.elements(right, scope))
            case ast.IfExp(_, body, orelse):
                return (*self.elements(body, scope), *self.elements(orelse, scope))
            case ast.BoolOp(_, values):
                return [text for each in values for text in self.elements(each, scope)]
            case ast.Subscript(value, ast.Slice()):
                return self.elements(value, scope)
            case ast.Name(name):
                return self._gathered(name, scope)
            case ast.Call():
                return self._yielded(node, scope)
            case _:
                return ()

    def _element(self, node: ast.expr, scope: Scope) -> Iterable[str]:
        if isinstance(node, ast.Starred):
            return self.elements(node.value, scope)
        return self.texts(node, scope)

    def _comprehended(
        self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp, element: ast.expr, scope: Scope
    ) -> Iterable[str]:
        bound = dict(scope.bound)
        for each in node.generators:
            for name in (part.id for part in ast.walk(each.target) if isinstance(part, ast.Name)):
                bound[name] = tuple(self._iterated(each.target, each.iter, name, scope))
        return self.texts(element, Scope(scope.module, scope.functions, bound, scope.path))

    def _gathered(self, name: str, scope: Scope) -> Iterable[str]:
        """What a local list holds: its literals, and what is appended."""
        for function in scope.functions:
            inner = scope.deeper((function, name, "elements"))
            if inner is None:
                return ()
            if function.args.vararg and function.args.vararg.arg == name:
                return self._passed(name, function, inner)
            found = [text for node in own_nodes(function) for text in self._put(node, name, inner)]
            if found:
                return found
            if name in parameters(function):
                return self._passed_elements(name, function, inner)
        literal = self.constant(name, scope)
        return self.elements(*literal) if literal else ()

    def _put(self, node: ast.AST, name: str, scope: Scope) -> Iterable[str]:
        several, one = put_into(node, name)
        if several is not None:
            return self.elements(several, scope)
        return self.texts(one, scope)

    def _passed_elements(self, name: str, function: Function, scope: Scope) -> Iterable[str]:
        for place in self._sources.callers(function):
            there = Scope(place.module, place.module.within.get(place.node, ()), {}, scope.path)
            for each in given(place.node, function, name):
                yield from self.elements(each, there)

    def _yielded(self, call: ast.Call, scope: Scope) -> Iterable[str]:
        name = called_name(call)
        if name in ("sorted", "list", "tuple", "reversed", "set", "filter", "enumerate") and call.args:
            return self.elements(call.args[-1], scope)
        found = self._inside(call, scope)
        if found is None:
            return ()
        function, inner = found
        texts: list[str] = []
        for node in own_nodes(function):
            match node:
                case ast.Return(value) | ast.YieldFrom(value) if value is not None:
                    texts += self.elements(value, inner)
                case ast.Yield(value) if value is not None:
                    texts += self.texts(value, inner)
                case _:
                    pass
        return texts
