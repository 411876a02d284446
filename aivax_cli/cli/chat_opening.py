"""Opening a chat: at once for a script; for a person in the background, while the first message is typed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from aivax_cli.core.apart import apart
from aivax_cli.core.errors import UsageError
from aivax_cli.gateway.places import find_root, gateway_files, state_dir

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

    from aivax_cli.cli.chat_keeping import Earlier
    from aivax_cli.cli.chat_state import Chat
    from aivax_cli.cli.command import Session
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace

_NEEDED_BY_A_PROMPT = (
    "aivax_cli.cli.chat_completion",
    "aivax_cli.cli.chat_prompt_line",
    "aivax_cli.render.money",
)
_NEEDED_BY_A_TURN = (
    "aivax_cli.cli.chat_turn",
    "aivax_cli.turn",
    "aivax_cli.usage.meter",
    "aivax_cli.render.turn_view",
    "aivax_cli.render.markdown_stream",
    "aivax_cli.conversations.store",
)
_LOOK_EVERY_S = 0.005
# While modules load, a key must not wait for Python's usual 5 ms at each of the steps that echo it.
_SWITCH_S = 0.0005
_LEAVE_WITHIN_S = 0.5


class Loaded(Struct, frozen=True):
    """What a chat is opened with. `before` is the conversation that goes on."""

    workspace: Workspace
    gateway: LoadedGateway
    before: Earlier | None


class Wanted(Struct, frozen=True):
    """What the command line asks for."""

    session: Session
    gateway: str | None
    settings: tuple[str, ...]
    go_on: bool
    conversation: str | None
    approve_tools: bool

    @property
    def state_dir(self) -> Path:
        """What the workspace keeps. Raises UsageError when there is no workspace."""
        return state_dir(find_root(self.session.directory))

    def name(self) -> str | None:
        """The gateway of a new conversation, where the names of the files tell it for certain.

        So nothing has to be read to know that there is something to open. Raises UsageError when there is no
        workspace.
        """
        if self.go_on or self.conversation is not None:
            return None
        names = [file.stem for file in gateway_files(find_root(self.session.directory))]
        if self.gateway is not None:
            return self.gateway if names.count(self.gateway) == 1 else None
        return names[0] if len(names) == 1 else None

    def load(self) -> Loaded:
        """Reads what is needed: takes a moment, and may be called in a thread.

        Raises UsageError, NotFoundError and DefinitionError.
        """
        from aivax_cli.gateway.workspace import find_workspace

        workspace = find_workspace(self.session.directory)
        before = self._taken_up(workspace)
        name = self.gateway or (before.kept.gateway if before else None)
        chosen = workspace.load(name) if name is not None else workspace.load_only()
        return Loaded(workspace, chosen.with_settings(self.settings) if self.settings else chosen, before)

    def _taken_up(self, workspace: Workspace) -> Earlier | None:
        """The conversation to go on with, None for a new one."""
        if not self.go_on and self.conversation is None:
            return None
        if self.go_on and self.conversation is not None:
            raise UsageError("--continue and --conversation exclude each other", fix="leave one of them out")
        from aivax_cli.cli.chat_keeping import find_kept

        return find_kept(workspace.state_dir, gateway=self.gateway, prefix=self.conversation)


@asynccontextmanager
async def open_chat(wanted: Wanted, loaded: Loaded, *, told: bool = False) -> AsyncIterator[Chat]:
    """A chat that is ready for turns. `told` says that the person knows whether it is kept.

    Raises UsageError or NotFoundError when its models are unknown.
    """
    from aivax_cli.cli.chat_keeping import Keeper
    from aivax_cli.cli.chat_state import Chat
    from aivax_cli.cli.tool_approval import approver
    from aivax_cli.render.downloads import download_progress
    from aivax_cli.wiring import open_gateway

    screen, before = wanted.session.screen, loaded.before
    progress = download_progress(screen.note)
    approve = approver(screen, approve_all=wanted.approve_tools)
    opening = open_gateway(loaded.workspace, loaded.gateway, on_download=progress, approve=approve)
    async with opening as runtime:
        keeper = Keeper(loaded.workspace.state_dir, screen, before.kept.id if before else None, told=told)
        chat = Chat(screen, loaded.workspace, runtime, wanted.session.directory, keeper)
        if before:
            chat.turns, chat.spent = before.turns, before.kept.charges
        try:
            yield chat
        finally:
            keeper.close()


class Opening:
    """A chat that is being opened. What a first answer needs is loaded after it.

    Nothing begins before the prompt is on the screen; when it fails, the prompt goes away and `ready` raises.
    """

    def __init__(self, wanted: Wanted, loaded: Loaded | None = None) -> None:
        """`loaded` is what has been loaded already."""
        self.chat: Chat | None = None
        """None until it is open."""
        self._wanted = wanted
        self._loaded = loaded
        self._prompt: PromptSession[str] | None = None
        self._chat: asyncio.Future[Chat] = asyncio.get_running_loop().create_future()
        self._leaving = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._hold())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        if self.chat is None:
            self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def prompt_is(self, prompt: PromptSession[str]) -> None:
        """Where the person types."""
        self._prompt = prompt

    async def ready(self) -> Chat:
        """The chat, once it is open. Raises what opening it raised."""
        return await asyncio.shield(self._chat)

    def check(self) -> None:
        """Raises what opening the chat raised, if it has."""
        if self._chat.done():
            self._chat.result()

    async def _hold(self) -> None:
        """Opens the chat and closes it in one task, as some of what it opens must be."""
        try:
            await self._prompted()
            async with open_chat(self._wanted, await self._load(), told=True) as chat:
                self.chat = chat
                self._chat.set_result(chat)
                self._tell_prompt()
                warm = apart(lambda: _warm_up(chat), "aivax-warm")
                await self._leaving.wait()
                await asyncio.wait({warm}, timeout=_LEAVE_WITHIN_S)
        except Exception as error:
            if self._chat.done():
                raise
            self._chat.set_exception(error)
            self._chat.exception()  # seen, also when nobody asks before the end
            await self._take_prompt_away()

    def _tell_prompt(self) -> None:
        """Has the prompt say what it knows now, of what has been typed so far, too."""
        assert self._prompt is not None
        self._prompt.app.invalidate()
        typed = self._prompt.default_buffer
        if typed.text and self._prompt.app.is_running:
            typed.start_completion()

    async def _load(self) -> Loaded:
        if self._loaded is not None:
            return self._loaded
        with _gently():
            return await asyncio.to_thread(self._rehearse)

    def _rehearse(self) -> Loaded:
        """In a thread: opens the chat once and closes it. Opening it again takes no time that is felt."""
        loaded = self._wanted.load()

        async def rehearse() -> None:
            async with open_chat(self._wanted, loaded, told=True):
                _import(_NEEDED_BY_A_PROMPT)

        asyncio.run(rehearse())
        return loaded

    async def _prompted(self) -> None:
        while self._prompt is None or self._prompt.app.render_counter == 0:
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _take_prompt_away(self) -> None:
        assert self._prompt is not None
        app = self._prompt.app
        while not app.is_running:  # a message was sent meanwhile, and waits for what has failed
            await asyncio.sleep(_LOOK_EVERY_S)
        app.erase_when_done = True
        app.exit(exception=EOFError())


@contextmanager
def _gently() -> Iterator[None]:
    """What is loaded in the block lets others run every now and then."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _import(modules: tuple[str, ...]) -> None:
    from importlib import import_module

    for module in modules:
        import_module(module)


def _warm_up(chat: Chat) -> None:
    """Loads what the first answer needs, and what its interruption needs."""
    # What cannot be loaded is told by the turn that needs it; or everything is being closed.
    with suppress(Exception), _gently():
        from aivax_cli.wiring.warming import warm_up

        _import(_NEEDED_BY_A_TURN)
        warm_up(chat.runtime)
