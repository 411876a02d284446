"""YAML text as plain values that remember their lines, read without trusting the text.

Built on PyYAML's event stream, so that depth and expansion are bounded while reading, lines are kept
for every key and value, and nothing is ever constructed but text, numbers, booleans, lists and mappings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct, field

from aivax_cli.gateway.yamlsyntax import worded

MAX_DEPTH = 40
MAX_NODES = 20_000  # after aliases are expanded: bounds a "billion laughs" file

_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "null"))
# Beyond this size a syntax error is worded by the C parser alone: the Python one takes seconds.
_REREAD_LIMIT = 200_000

FieldPath = tuple[str | int, ...]
Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]


class Trouble(Struct, frozen=True):
    """Something wrong at a line. `alone` says that nothing else need be said about the same field."""

    line: int
    path: FieldPath
    problem: str
    alone: bool = False


class Place(Struct, frozen=True):
    """Where a value stands. `written` is a plain scalar as it was typed, None when quoted or no scalar.

    `file` is another file than the one that was read, from which the value was inherited.
    """

    key_line: int
    value_line: int
    written: str | None
    file: Path | None = None


class Tree(Struct, frozen=True):
    """A document: its value, the place of every value in it, and what was wrong on the way."""

    value: Value
    places: dict[FieldPath, Place]
    troubles: tuple[Trouble, ...]

    def line(self, path: FieldPath) -> int:
        """The line to send a person to: a scalar's own, else its key's; of what is absent, its parent's."""
        path = self._nearest(path)
        place = self.places.get(path)
        if place is None:
            return 1
        return place.value_line if self._is_scalar(path) else place.key_line

    def file(self, path: FieldPath) -> Path | None:
        """The file that `line` counts in, None for the one that was read."""
        place = self.places.get(self._nearest(path))
        return place.file if place else None

    def key_line(self, path: FieldPath) -> int:
        """The line of the key itself."""
        place = self.places.get(path)
        return place.key_line if place else self.line(path)

    def at(self, path: FieldPath) -> Value:
        """The value at a path; None when there is none."""
        value: Any = self.value
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value  # type: ignore[no-any-return]

    def scalars(self) -> Iterator[tuple[FieldPath, Value]]:
        """Every scalar with its path, in the order of the file."""
        for path in self.places:
            value = self.at(path)
            if not isinstance(value, (list, dict)):
                yield path, value

    def _nearest(self, path: FieldPath) -> FieldPath:
        while path and path not in self.places:
            path = path[:-1]
        return path

    def _is_scalar(self, path: FieldPath) -> bool:
        return not isinstance(self.at(path), (list, dict))


class SyntaxTrouble(Exception):
    """The text is no YAML that can be read on; holds the one trouble."""

    def __init__(self, line: int, problem: str, path: FieldPath = ()) -> None:
        super().__init__(problem)
        self.trouble = Trouble(line, path, problem)


def read_tree(text: str) -> Tree:
    """Reads one YAML document. Raises SyntaxTrouble where reading cannot go on."""
    if control := _CONTROL.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise SyntaxTrouble(line, f"holds the control character U+{ord(control[0]):04X}; remove it")
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = _compose(text, fast)
    except yaml.MarkedYAMLError as error:
        # The Python parser words its errors the same everywhere and says which character it stumbled on.
        try:
            if len(text) > _REREAD_LIMIT or fast is yaml.SafeLoader:
                raise SyntaxTrouble(*worded(error, text)) from error
            root = _compose(text, yaml.SafeLoader)
        except yaml.MarkedYAMLError as second:
            raise SyntaxTrouble(*worded(second, text)) from second
    return _Reader().read(root)


class _Node(Struct):
    """A node of the document. `size` counts it and all below it with aliases expanded."""

    line: int
    tag: str | None
    text: str = ""
    plain: bool = False
    children: list[_Node] | None = None
    mapping: bool = False
    size: int = 1
    open: bool = True


def _compose(text: str, loader: Any) -> _Node | None:
    """The document's node graph; aliases share nodes."""
    root = _Node(1, None, children=[])
    stack = [root]
    anchors: dict[str, _Node] = {}
    documents = 0
    nodes = 1
    for event in yaml.parse(text, Loader=loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.NodeEvent):
            is_alias = isinstance(event, yaml.AliasEvent)
            node = _aliased(anchors, event.anchor or "", line) if is_alias else _node(event, line)
            nodes += node.size
            if nodes > MAX_NODES:
                many = f"expands to more than {MAX_NODES:,} values; no definition is that large"
                raise SyntaxTrouble(line, many)
            if event.anchor and not is_alias:
                anchors[event.anchor] = node
            stack[-1].children.append(node)  # type: ignore[union-attr]
            if node.open:
                stack.append(node)
                if len(stack) > MAX_DEPTH:
                    raise SyntaxTrouble(line, f"is nested deeper than {MAX_DEPTH} levels")
            else:
                stack[-1].size += node.size
        elif isinstance(event, yaml.CollectionEndEvent):
            done = stack.pop()
            done.open = False
            stack[-1].size += done.size
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise SyntaxTrouble(line, "a second document begins here; keep one document in a file")
    return root.children[0] if root.children else None


def _node(event: Any, line: int) -> _Node:
    if isinstance(event, yaml.ScalarEvent):
        return _Node(line, event.tag, event.value, plain=event.implicit[0], open=False)
    return _Node(line, event.tag, children=[], mapping=isinstance(event, yaml.MappingStartEvent))


def _aliased(anchors: dict[str, _Node], name: str, line: int) -> _Node:
    if name not in anchors:
        raise SyntaxTrouble(line, f"no anchor &{name} stands above *{name}; a text needs quotes")
    if anchors[name].open:
        raise SyntaxTrouble(line, f"*{name} refers to what it stands in; an alias cannot hold itself")
    return anchors[name]


class _Reader(Struct):
    """Turns the node graph into values, expanding aliases and merge keys."""

    places: dict[FieldPath, Place] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    scalars: yaml.constructor.SafeConstructor = field(default_factory=yaml.constructor.SafeConstructor)

    def read(self, root: _Node | None) -> Tree:
        value = None if root is None else self._value(root, (), root.line)
        return Tree(value, self.places, tuple(self.troubles))

    def _value(self, node: _Node, path: FieldPath, key_line: int) -> Value:
        written = node.text if node.children is None and node.plain else None
        self.places[path] = Place(key_line, node.line, written)
        if node.children is None:
            return self._scalar(node, path)
        if node.tag not in (None, "!", _TAG + "map", _TAG + "seq"):
            self._odd_tag(node, path)
        if node.mapping:
            return self._mapping(node, path)
        return [self._value(item, (*path, i), item.line) for i, item in enumerate(node.children)]

    def _mapping(self, node: _Node, path: FieldPath) -> Value:
        read: dict[str, Value] = {}
        first_lines: dict[str, int] = {}
        children = node.children or []
        merges: list[_Node] = []
        for key, child in zip(children[::2], children[1::2], strict=True):
            if key.plain and key.text == "<<":
                merges.append(child)
                continue
            name = self._key(key, path)
            if name is None:
                continue
            if name in first_lines:
                problem = f"stands here a second time (first on line {first_lines[name]}); keep one"
                self.troubles.append(Trouble(key.line, (*path, name), problem))
                continue
            first_lines[name] = key.line
            read[name] = self._value(child, (*path, name), key.line)
        for merge in merges:
            self._merge(merge, path, read)
        return read

    def _merge(self, node: _Node, path: FieldPath, into: dict[str, Value]) -> None:
        """`<<: *defaults`: fields that the mapping does not have itself."""
        sources = [node] if node.mapping else node.children or []
        if not sources or not all(source.mapping for source in sources):
            self.troubles.append(Trouble(node.line, path, "'<<' merges a mapping, such as <<: *defaults"))
            return
        for source in sources:
            children = source.children or []
            for key, child in zip(children[::2], children[1::2], strict=True):
                name = self._key(key, path)
                if name is not None and name not in into:
                    into[name] = self._value(child, (*path, name), key.line)

    def _key(self, key: _Node, path: FieldPath) -> str | None:
        if key.children is not None:
            self.troubles.append(Trouble(key.line, path, "a field's name must be text"))
            return None
        if not key.plain or isinstance(self._scalar(key, path), str):
            return key.text
        # Version strings, `no` and `on` as names: YAML would read a number or a boolean.
        problem = (
            f'the name {key.text} is not text in YAML; write "{key.text}"' if key.text else "has no name"
        )
        self.troubles.append(Trouble(key.line, path, problem))
        return None

    def _scalar(self, node: _Node, path: FieldPath) -> Value:
        tag = node.tag
        if tag in (None, "!"):
            tag = _resolve(node.text) if node.plain else _TAG + "str"
        if tag == _TAG + "timestamp" or tag == _TAG + "value":
            return node.text  # no field is a date, so a date is the text that was typed
        if tag not in _PLAIN_TAGS:
            self._odd_tag(node, path)
            return node.text
        try:
            value: Value = self.scalars.construct_object(yaml.ScalarNode(tag, node.text))
        except (ValueError, KeyError, yaml.YAMLError):
            self.troubles.append(Trouble(node.line, path, f"is no {tag.removeprefix(_TAG)}"))
            return node.text
        if isinstance(value, float) and not math.isfinite(value):
            problem = f"must be a finite number, not {node.text}"
            self.troubles.append(Trouble(node.line, path, problem, alone=True))
        return value

    def _odd_tag(self, node: _Node, path: FieldPath) -> None:
        tag = (node.tag or "").replace(_TAG, "!!")
        self.troubles.append(Trouble(node.line, path, f"the tag {tag} is not allowed here; remove it"))


def _resolve(text: str) -> str:
    """The tag of a plain scalar by YAML 1.1's rules."""
    table = yaml.SafeLoader.yaml_implicit_resolvers
    for tag, pattern in table.get(text[:1], []) + table.get(None, []):
        if pattern.match(text):
            return str(tag)
    return _TAG + "str"
