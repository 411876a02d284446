"""What the docstrings below the fields of a definition say, for its schema.

pydantic can read them when a class is made, by parsing its source. That takes longer than checking a file,
and every command would wait for it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise

from aivax_cli.gateway.basics import Definition


def field_docstrings(model: type[Definition]) -> dict[str, str]:
    """The text below each field, by the name that the field has in a file; inherited ones too."""
    told: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, Definition) and each is not Definition:
            told |= _own(each)
    return {field.alias or name: told[name] for name, field in model.model_fields.items() if name in told}


def every_definition() -> dict[str, type[Definition]]:
    """All definitions by the name of their class."""
    found: dict[str, type[Definition]] = {}
    waiting = [Definition]
    while waiting:
        for each in waiting.pop().__subclasses__():
            found[each.__name__] = each
            waiting.append(each)
    return found


def _own(model: type[Definition]) -> dict[str, str]:
    """The text below each field that the class itself has."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    told = {}
    for field, below in pairwise(tree.body if isinstance(tree, ast.ClassDef) else ()):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            told[field.target.id] = inspect.cleandoc(str(below.value.value))
    return told
