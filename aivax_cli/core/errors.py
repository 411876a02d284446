"""One drawn hierarchy of errors, and the exit code each becomes.

    AivaxError                        1
    ├── UsageError                    2  the command line or a definition is wrong
    │   └── DefinitionError           2  a YAML file is wrong: file, line, field
    ├── NotFoundError                 2  a name that nothing has, with the nearest one
    ├── KeyMissingError               2  an API key is not in the environment
    ├── AssetError                    1  a downloaded file is missing or wrong
    ├── IngestError                   1  documents could not be read or stored
    ├── KnowledgeError                1  a collection's index cannot be used
    ├── LedgerError                   1  the ledger of charges cannot be read or written
    ├── ConversationError             1  kept conversations cannot be read or written
    ├── BudgetError                   1  a call may cost more than the gateway's budget leaves
    ├── ContextError                  1  a conversation does not fit into the gateway's context limit
    ├── ToolError                     1  a gateway's tools cannot be had
    ├── StructureError                1  no answer held to the response schema
    ├── RemoteTextError               1  instructions from elsewhere cannot be had, and there is no copy
    └── ModelError                    1  an endpoint refused, failed or answered nonsense

A message is one line and says what, where and how to mend it. It never holds a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from aivax_cli.core.types import EmbeddingUse


class AivaxError(Exception):
    """Base of every error a user sees; `exit_code` is the process's."""

    exit_code = 1
    spent: tuple[EmbeddingUse, ...] = ()
    """What a search's embedders had read before it failed; a charge all the same."""

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}; {self.fix}" if self.fix else self.message


class UsageError(AivaxError):
    """The command line cannot be carried out as given."""

    exit_code = 2


class Fault(Struct, frozen=True):
    """One fault in a definition file, at a place a person can jump to."""

    file: str
    line: int
    field: str
    problem: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}"
        return f"{where}: {self.field}: {self.problem}" if self.field else f"{where}: {self.problem}"


class DefinitionError(UsageError):
    """One or more YAML files hold faults; the message is one fault a line, all of them."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class NotFoundError(AivaxError):
    """A name that nothing has. `fix` suggests the nearest known name."""

    exit_code = 2


class KeyMissingError(AivaxError):
    """A provider's API key is not there. The message names the variable, never a value."""

    exit_code = 2


class AssetError(AivaxError):
    """A downloaded file (weights, tokenizer table) is missing, unreachable or not what it should be."""


class IngestError(AivaxError):
    """Documents could not be read or stored."""


class KnowledgeError(AivaxError):
    """A collection's index cannot be used as it is."""


class LedgerError(AivaxError):
    """The ledger of charges cannot be read or written. A turn goes on without it."""


class ConversationError(AivaxError):
    """Kept conversations cannot be read or written. A chat goes on without them."""


class BudgetError(AivaxError):
    """The worst case of a model call is over the gateway's budget. The message names the figures."""


class ContextError(AivaxError):
    """A conversation does not fit into the gateway's context limit; no model was called with it."""


class ToolError(AivaxError):
    """A tool server cannot be reached, or offers what cannot be used."""


class StructureError(AivaxError):
    """No answer held to the response schema after every attempt."""


class RemoteTextError(AivaxError):
    """Instructions from elsewhere cannot be fetched, and there is no copy of them."""


class ModelError(AivaxError):
    """A model endpoint could not be reached, refused, or answered what is no answer.

    `status` is the HTTP status, None when there was none.
    """

    def __init__(self, message: str, *, fix: str | None = None, status: int | None = None) -> None:
        super().__init__(message, fix=fix)
        self.status = status


def unknown_name(kind: str, name: str, known: Iterable[str], *, otherwise: str) -> NotFoundError:
    """The error for a name that nothing has: suggests the nearest, else lists the choices.

    `otherwise` is the fix when there is nothing at all to choose from.
    """
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    if near:
        fix = f"did you mean '{near[0]}'?"
    elif choices:
        fix = "choose one of: " + ", ".join(choices)
    else:
        fix = otherwise
    return NotFoundError(f"no {kind} named '{name}'", fix=fix)
