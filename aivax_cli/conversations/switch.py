"""Whether conversations are kept in a workspace: they are, unless somebody has switched that off."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aivax_cli.core.errors import ConversationError

OFF_FILE: Final = "conversations.off"
"""While it stands in a workspace's state folder nothing is kept. A file of its own: it holds even when the
database cannot be opened."""


def keeping(state_dir: Path) -> bool:
    """Whether conversations are kept. A folder that cannot be looked into counts as yes."""
    try:
        return not (state_dir / OFF_FILE).exists()
    except OSError:
        return True


def keep(state_dir: Path, wanted: bool) -> None:
    """Switches keeping on or off from now on. Raises ConversationError when that cannot be noted."""
    file = state_dir / OFF_FILE
    try:
        if wanted:
            file.unlink(missing_ok=True)
        else:
            state_dir.mkdir(parents=True, exist_ok=True)
            file.write_text("aivax log on keeps conversations again.\n", encoding="utf-8")
    except OSError as error:
        raise ConversationError(
            f"{file}: {error.strerror or error}", fix="check the folder's permissions"
        ) from error
