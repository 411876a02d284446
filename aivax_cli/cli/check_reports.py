"""Writing a run of checks for other programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from aivax_cli.core.errors import AivaxError, UsageError
from aivax_cli.storage.whole_file import write_whole

if TYPE_CHECKING:
    from aivax_cli.checks.results import Comparison, Run
    from aivax_cli.cli.command import Session


class Reports(Struct, frozen=True):
    """Where a run is written for other programs; paths are absolute."""

    junit: Path | None
    html: Path | None
    markdown: Path | None
    github: bool

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file for file in (self.junit, self.html, self.markdown) if file)

    def refuse_unwritable(self) -> None:
        """Raises UsageError for a file that cannot be written: that is known before anything is paid for."""
        for file in self.files:
            if file.is_dir():
                raise UsageError(f"{file} is a folder", fix="name a file in it")
            if not file.parent.is_dir():
                raise UsageError(f"there is no folder {file.parent}", fix="make it, or name another")
            needed = [file] if file.exists() else []
            if file.is_file() or not needed:
                needed.append(file.parent)  # a report takes the place of an earlier one
            if not all(os.access(each, os.W_OK) for each in needed):
                raise UsageError(f"{file} cannot be written", fix="name a file elsewhere")

    def write(self, session: Session, run: Run, root: Path, comparison: Comparison | None) -> None:
        """Writes what was asked for. Raises AivaxError for what cannot be written, after all the others."""
        unwritten = [
            f"{file} ({(error.strerror or type(error).__name__).lower()})"
            for file, text in self._texts(run, root, comparison)
            if (error := _written(file, text))
        ]
        if self.github:
            from aivax_cli.checks.reports.github import github_annotations

            # GitHub reads its commands from both; stdout may carry the run as JSON.
            out = session.screen.err.file if session.screen.json_output else session.screen.out.file
            out.write(github_annotations(run, _repository(root)))
            out.flush()
        if unwritten:
            raise AivaxError(
                f"not written: {', '.join(unwritten)}", fix="free some space, or name another file"
            )

    def _texts(self, run: Run, root: Path, comparison: Comparison | None) -> Iterator[tuple[Path, str]]:
        if self.junit:
            from aivax_cli.checks.reports.junit import junit_xml

            yield self.junit, junit_xml(run)
        if self.html:
            from aivax_cli.checks.reports.html import html_page

            yield self.html, html_page(run, root, comparison)
        summary = os.environ.get("GITHUB_STEP_SUMMARY") if self.github else None
        if self.markdown or summary:
            from aivax_cli.checks.reports.markdown import markdown_text

            text = markdown_text(run, root, comparison)
            if self.markdown:
                yield self.markdown, text
            if summary:
                yield Path(summary), _kept(Path(summary)) + text


def _kept(summary: Path) -> str:
    """What other steps have written already."""
    try:
        return summary.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _written(file: Path, text: str) -> OSError | None:
    try:
        write_whole(file, text)
    except OSError as error:
        return error
    return None


def _repository(root: Path) -> Path:
    """The folder that GitHub's paths are relative to: the repository's, which may be above the workspace."""
    given = os.environ.get("GITHUB_WORKSPACE")
    return Path(given) if given and root.resolve().is_relative_to(Path(given).resolve()) else root
