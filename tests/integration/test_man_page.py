"""`aivax man`: the manual page is whole, and roff has nothing to say against it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer.main
from support.in_process import aivax_here

from aivax_cli.cli.app import COMMANDS, app
from aivax_cli.cli.man_page import man_page


@pytest.fixture(scope="module")
def page() -> str:
    return man_page(typer.main.get_command(app))


def test_the_command_prints_the_page(page: str, tmp_path: Path) -> None:
    assert aivax_here("man", cwd=tmp_path).out == page


def test_every_command_has_its_part(page: str) -> None:
    parts = set(re.findall(r"^\.SS aivax ([a-z]+)", page, re.MULTILINE))
    assert parts == set(COMMANDS)
    assert ".SS aivax collections export [OPTIONS]" in page


def test_an_option_of_every_command_is_told_once(page: str) -> None:
    assert page.count(r"\-\-no\-color") == 1
    assert r"\-h, \-\-help" in page


def test_only_known_requests_begin_a_line(page: str) -> None:
    requests = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".SS", ".TP", ".PP", ".B"}


def test_roff_takes_it_without_a_warning(page: str) -> None:
    groff = shutil.which("groff")
    if groff:  # a machine without it has the other tests
        done = subprocess.run(
            [groff, "-ww", "-man", "-Tutf8"], input=page.encode(), capture_output=True, check=True
        )
        assert done.stderr == b""
        assert "aivax.yaml" in done.stdout.decode()


def test_signs_of_roff_are_text(tmp_path: Path) -> None:
    command = typer.Typer()

    @command.command(help="Reads\n\n.hidden files, C:\\new and 'quotes' - all of them.")
    def read() -> None: ...

    @command.command()
    def other() -> None: ...

    page = man_page(typer.main.get_command(command))
    assert "\\&.hidden files, C:\\enew and \\(aqquotes\\(aq \\- all of them." in page
