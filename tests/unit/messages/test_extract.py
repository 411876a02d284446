"""How texts are found in sources: small packages, and what is found in them."""

from pathlib import Path
from textwrap import dedent

import pytest

from aivax_cli.messages.extract import Extraction, paragraphs


def found(tmp_path: Path, text: str, *, name: str = "module") -> set[str]:
    """The texts of a package `aivax_cli` with one module."""
    package = tmp_path / "aivax_cli"
    package.mkdir()
    errors = "class AivaxError(Exception): ...\nclass UsageError(AivaxError): ...\n"
    (package / "errors.py").write_text(errors, encoding="utf-8")
    (package / f"{name}.py").write_text(dedent(text), encoding="utf-8")
    return set(Extraction(package).run())


@pytest.mark.parametrize(
    ("expression", "texts"),
    [
        ('"nothing matches"', {"nothing matches"}),
        ('f"no file {name}"', {"no file {}"}),
        ('f"no file {a}{b}"', {"no file {}"}),
        ("f\"{count} turn{'' if count == 1 else 's'}\"", {"{} turn", "{} turns"}),
        ('"on" + " off"', {"on off"}),
        ('"kept" if wanted else "not kept"', {"kept", "not kept"}),
        ('reason or "no reason given"', {"no reason given"}),
        ('f"saved {count:,} lines"', {"saved {} lines"}),
        ('{"a": "one way", "b": "another way"}[kind]', {"one way", "another way"}),
        ('f"gone; {fix}"', {"gone"}),
        ('f"{name}: {value}"', set()),
        ("name", set()),
    ],
)
def test_what_a_note_can_say(tmp_path: Path, expression: str, texts: set[str]) -> None:
    assert found(tmp_path, f"def tell(screen):\n    screen.note({expression})\n") == texts


def test_an_errors_message_and_its_fix_are_texts_of_their_own(tmp_path: Path) -> None:
    source = """
    def refuse(name):
        raise UsageError(f"no field '{name}'", fix="see the docs; or ask")
    """
    assert found(tmp_path, source) == {"no field '{}'", "see the docs", "or ask"}


def test_local_names_constants_and_functions_are_followed(tmp_path: Path) -> None:
    source = """
    _HINT = "look at the folder"

    def counted(number, thing):
        return f"{number} {thing}"

    def lines(report) -> list[str]:
        said = ["first of all"]
        said.append(f"{report} in all")
        return said

    def plural(number) -> str:
        return f"{number} file" if number == 1 else f"{number} files"

    def tell(screen, number):
        told = plural(number)
        screen.note(told)
        screen.warn(_HINT)
        for line in lines(number):
            screen.note(line)
    """
    texts = {"{} file", "{} files", "look at the folder", "first of all", "{} in all"}
    assert found(tmp_path, source) == texts


def test_what_callers_give_for_a_parameter_becomes_part_of_the_text(tmp_path: Path) -> None:
    source = """
    def unknown(kind, value):
        return UsageError(f"no {kind} called '{value}'")

    def ask(value):
        raise unknown("tool", value)

    def search(value):
        raise unknown("collection", value)
    """
    assert found(tmp_path, source) == {"no tool called '{}'", "no collection called '{}'"}


def test_a_sentence_that_is_another_ones_value_is_a_text(tmp_path: Path) -> None:
    source = """
    def why(status) -> str:
        if status:
            return f"it answered {status} twice"
        return "it does not answer at all"

    def tell(screen, host, status):
        screen.warn(f"{host} failed: {why(status)}")
    """
    texts = {"{} failed: {}", "it answered {} twice", "it does not answer at all"}
    assert found(tmp_path, source) == texts


def test_the_help_of_commands_is_found_paragraph_by_paragraph(tmp_path: Path) -> None:
    source = '''
    @command(app, "go")
    def go(session, where=Option(help="Where to go.", metavar="PLACE")):
        """Go somewhere.

        It is far
        away.
        """
    '''
    assert found(tmp_path, source) == {"Go somewhere.", "It is far away.", "Where to go.", "PLACE"}


def test_a_name_that_leads_to_itself_ends(tmp_path: Path) -> None:
    source = """
    def around(text) -> str:
        return f"again {around(text)}"

    def tell(screen):
        screen.note(around("x"))
    """
    assert found(tmp_path, source) == {"again {}"}


def test_what_is_said_to_programs_is_no_text(tmp_path: Path) -> None:
    source = 'def tell(screen):\n    screen.note("words for a person")\n'
    assert found(tmp_path, source, name="messages") == set()


def test_a_quoted_annotation_is_no_text(tmp_path: Path) -> None:
    source = """
    class Part:
        inner: "Part | None" = None

        def parts(self) -> "tuple[Part, ...]":
            return () if self.inner else unknown("there are no parts")
    """
    package = tmp_path / "aivax_cli"
    (package / "checks").mkdir(parents=True)
    (package / "checks" / "results.py").write_text(dedent(source), encoding="utf-8")
    assert set(Extraction(package).run()) == {"there are no parts"}


def test_paragraphs_are_on_one_line_each() -> None:
    assert paragraphs("One\n    line.\n\n    Another.\n") == ["One line.", "Another."]
