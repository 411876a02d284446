"""Writing a run of checks for other programs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aivax_cli.checks.results import Comparison, Run
    from aivax_cli.cli.command import Session


@dataclass(frozen=True, slots=True)
class Reports:
    """Where a run is written for other programs."""

    junit: Path | None
    html: Path | None
    markdown: Path | None
    github: bool

    def write(self, session: Session, run: Run, root: Path, comparison: Comparison | None) -> None:
        """Writes what was asked for. Paths are relative to where the user stands."""
        from aivax_cli.checks.reports.github import github_annotations
        from aivax_cli.checks.reports.html import html_page
        from aivax_cli.checks.reports.junit import junit_xml
        from aivax_cli.checks.reports.markdown import markdown_text

        here = session.directory
        if self.junit:
            (here / self.junit).write_text(junit_xml(run), encoding="utf-8")
        if self.html:
            (here / self.html).write_text(html_page(run, root, comparison), encoding="utf-8")
        if self.markdown:
            (here / self.markdown).write_text(markdown_text(run, root, comparison), encoding="utf-8")
        if self.github:
            session.screen.write(github_annotations(run, root))
            if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
                with Path(summary).open("a", encoding="utf-8") as file:
                    file.write(markdown_text(run, root, comparison))
