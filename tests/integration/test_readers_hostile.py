"""Broken and hostile files: each an error in one line that names the file, soon, and nothing worse."""

from __future__ import annotations

import io
import random
import re
import struct
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from support import sample_files

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.chunking import Chunker
from aivax_cli.ingest.documents import Document, Found
from aivax_cli.ingest.readers import read
from aivax_cli.ingest.readers.office import MAX_UNPACKED_BYTES


def document(path: Path) -> Document:
    return read(Found(path, path.name))


def refusal(path: Path, content: bytes | None = None) -> str:
    """What the user is told about the file, which is written first if `content` is given."""
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IngestError) as caught:
        document(path)
    told = str(caught.value)
    assert told.startswith(f"{path.name}: ")
    assert "\n" not in told
    assert caught.value.fix
    return told.removeprefix(f"{path.name}: ")


def test_a_broken_pdf_is_refused(tmp_path: Path) -> None:
    whole = sample_files.pdf_bytes([["words"]])
    assert refusal(tmp_path / "a.pdf", whole[:300]).startswith("broken, or not what its name says")
    assert refusal(tmp_path / "b.pdf", b"%PDF-1.7\ngarbage").startswith("broken, or not what its name says")


def test_a_pdf_with_a_password_is_refused(tmp_path: Path) -> None:
    sample_files.write_pdf(tmp_path / "a.pdf", [["secret"]], encrypted=True)
    assert refusal(tmp_path / "a.pdf") == "protected by a password; save a copy without one"


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a.pdf", b"# Markdown").startswith("not a PDF")
    assert refusal(tmp_path / "a.docx", b"# Markdown").startswith("broken, or not what its name says")
    assert refusal(tmp_path / "a.md", b"# Markdown\0\0").startswith("a binary file, not markdown")
    assert refusal(tmp_path / "a.ipynb", b"# Markdown").startswith("broken, or not what its name says")


def test_an_office_file_with_a_password_is_refused(tmp_path: Path) -> None:
    ole = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(2000)
    assert refusal(tmp_path / "a.docx", ole).startswith("protected by a password, or in the format of Office")


def test_an_archive_with_encrypted_parts_is_refused(tmp_path: Path) -> None:
    sample_files.write_docx(tmp_path / "a.docx", [("", "words")])
    data = bytearray((tmp_path / "a.docx").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset] |= 1  # the general purpose flag's bit for encryption
            at = data.find(signature, at + 1)
    assert refusal(tmp_path / "a.docx", bytes(data)).startswith("protected by a password")


@pytest.mark.timeout(120)
def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "bomb.docx", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("word/document.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(MAX_UNPACKED_BYTES // 10_000_000 + 1):
            part.write(bytes(10_000_000))
    assert "parts that unpack to 110 MB, over the limit of" in refusal(tmp_path / "bomb.docx")


@pytest.mark.timeout(120)
def test_an_archive_of_very_many_parts_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.epub", "w") as archive:
        for number in range(10_001):
            archive.writestr(f"{number}.xhtml", "")
    assert refusal(tmp_path / "many.epub").startswith("10,001 parts")


def lying_about_size(path: Path, member: str, content: bytes) -> None:
    """Puts `content` into the archive at `path` as `member`, which claims to be of 1,000 bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            after.writestr(name, content if name == member else before.read(name))
    data = bytearray(packed.getvalue())
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        local = archive.getinfo(member).header_offset
    central = data.find(b"PK\x01\x02")
    while data[central + 46 : central + 46 + len(member)] != member.encode():
        central = data.find(b"PK\x01\x02", central + 1)
    for at in (local + 22, central + 24):
        data[at : at + 4] = struct.pack("<I", 1_000)
    path.write_bytes(bytes(data))


@pytest.mark.timeout(120)
def test_an_archive_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    """Kreuzberg alone believes it: 300 MB took 2.6 GB of memory and 21 s."""
    sample_files.write_epub(tmp_path / "a.epub", "T", [("One", "words")])
    lying_about_size(tmp_path / "a.epub", "OEBPS/c1.xhtml", b"<p>" + b"a" * 20_000_000 + b"</p>")
    assert refusal(tmp_path / "a.epub").startswith("broken, or not what its name says")


def test_an_external_entity_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    parts = sample_files.docx_members([("", "before REFERENCE after")])
    entity = f'<!DOCTYPE d [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
    parts["word/document.xml"] = entity + parts["word/document.xml"].replace("REFERENCE", "&x;")
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert "secret" not in document(tmp_path / "a.docx").text


@pytest.mark.timeout(120)
def test_entities_that_multiply_do_not(tmp_path: Path) -> None:
    nested = '<!ENTITY a "lol">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise("abcdefghij")
    )
    parts = sample_files.docx_members([("", "x &j; y")])
    parts["word/document.xml"] = f"<!DOCTYPE d [{nested}]>" + parts["word/document.xml"]
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert len(document(tmp_path / "a.docx").text) < 1_000


@pytest.mark.parametrize("depth", [10, 63, 64, 300, 5_000])
def test_html_nested_however_deep_keeps_its_words(tmp_path: Path, depth: int) -> None:
    """Kreuzberg alone drops what lies 64 elements deep, in silence."""
    page = f"<html><body>{'<div>' * depth}<h2>Title</h2><p>The words.</p>{'</div>' * depth}</body></html>"
    (tmp_path / "a.html").write_text(page)
    assert document(tmp_path / "a.html").text == "## Title\n\nThe words.\n"


def test_html_that_leaves_out_end_tags_keeps_its_words(tmp_path: Path) -> None:
    """HTML allows that. Kreuzberg alone keeps the first 61 paragraphs."""
    page = "".join(f"<h2>H{n}</h2><p>para{n} of it<ul><li>x{n}<li>y{n}</ul>" for n in range(300))
    table = "<table><tr><th>key<th>value" + "".join(f"<tr><td>k{n}<td>v{n}" for n in range(100)) + "</table>"
    (tmp_path / "a.html").write_text(f"<title>T</title>{page}{table}<p>end")
    text = document(tmp_path / "a.html").text
    assert "## H299\n\npara299 of it\n\n- x299\n- y299\n" in text
    assert [line.split()[1:4:2] for line in text.splitlines() if line.startswith("| k")][1:] == [
        [f"k{n}", f"v{n}"] for n in range(100)
    ]
    assert text.endswith("\n\nend\n")


def test_html_inside_a_form_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        "<form><h1>Page</h1><p>words</p><input value=v><button>Go</button></form>"
    )
    assert document(tmp_path / "a.html").text == "# Page\n\nwords\n"


HOSTILE_HTML = {
    "open brackets": "<" * 1_000_000,
    "unclosed scripts": "<script>" * 100_000,
    "unclosed comments": "<!--" * 200_000,
    "unclosed mains": "<main>" * 100_000,
    "attributes": "<a " + "x=1 " * 200_000 + ">y</a>",
    "bold": "<b>" * 200_000 + "words",
    "tables": "<table><tr><td>" * 20_000 + "words",
    "square brackets": "<p>" + "[" * 500_000 + "](" * 100_000 + "</p>",
    "one line": "<p>" + "word " * 1_000_000 + "</p>",
    "metas": "<meta charset=" * 100_000,
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", HOSTILE_HTML)
def test_hostile_html_is_read_in_seconds(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.html").write_text(HOSTILE_HTML[name])
    Chunker().chunk(document(tmp_path / "a.html"))


@pytest.mark.timeout(120)
def test_a_line_of_twenty_megabytes_is_read_and_cut(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("palavra " * 2_500_000)
    read_back = document(tmp_path / "a.txt")
    assert len(read_back.text) == 20_000_000
    chunks = Chunker().chunk(read_back)
    assert {(chunk.first_line, chunk.last_line) for chunk in chunks} == {(1, 1)}
    assert sum(chunk.text.count("palavra") for chunk in chunks) == 2_500_000


def test_deep_json_in_a_notebook_is_refused(tmp_path: Path) -> None:
    nested = b'{"nbformat":4,"nbformat_minor":5,"metadata":{},"cells":[{"cell_type":"raw","source":'
    assert refusal(tmp_path / "a.ipynb", nested + b"[" * 100_000).startswith("broken")


SAMPLES = [
    "a.pdf",
    "a.docx",
    "a.xlsx",
    "a.pptx",
    "a.odt",
    "a.epub",
    "a.rtf",
    "a.eml",
    "a.ipynb",
    "a.html",
    "a.md",
]


def write_sample(path: Path) -> None:
    match path.suffix:
        case ".pdf":
            sample_files.write_pdf(path, [["!Heading", "words of it"], ["more"]], title="T")
        case ".docx":
            sample_files.write_docx(path, [("Heading1", "Head"), ("", "words")], title="T")
        case ".xlsx":
            sample_files.write_xlsx(path, [["a", "b"], ["1", "2"]])
        case ".pptx":
            sample_files.write_pptx(path, [("Title", "words")])
        case ".odt":
            sample_files.write_odt(path, [(1, "Head"), (0, "words")])
        case ".epub":
            sample_files.write_epub(path, "T", [("One", "words")])
        case ".rtf":
            sample_files.write_rtf(path, ["words"])
        case ".eml":
            sample_files.write_email(path, "Hi", "words", attachment=("a.txt", "more"))
        case ".ipynb":
            sample_files.write_notebook(path, [("markdown", "# T"), ("code", "x = 1")])
        case _:
            path.write_text("<h1>Title</h1>\n\n# Words\n\n<p>more</p>\n")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path: Path, name: str) -> None:
    """Cut short, with bytes changed, doubled and left out, in a hundred ways."""
    write_sample(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    rng = random.Random(name)
    outcomes = set()
    for _ in range(100):
        data = bytearray(whole[: rng.randint(1, len(whole))] if rng.random() < 0.2 else whole)
        for _ in range(rng.randint(1, 12)):
            at = rng.randrange(len(data))
            data[at : at + rng.choice([0, 1, 1, 1, 4])] = rng.randbytes(rng.choice([0, 1, 1, 4]))
            if not data:
                data = bytearray(b"x")
        (tmp_path / name).write_bytes(bytes(data))
        try:
            outcomes.add(type(document(tmp_path / name)))
        except IngestError as error:
            assert "\n" not in str(error)
            assert re.match(rf"{re.escape(name)}: .+; .+", str(error))
            outcomes.add(IngestError)
    assert outcomes <= {Document, IngestError}


def test_a_pdf_engine_that_others_could_have_planted_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kreuzberg loads the library that lies in this folder if it is of the right size."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    sample_files.write_pdf(tmp_path / "a.pdf", [["words"]])
    (tmp_path / "kreuzberg-pdfium").mkdir()
    (tmp_path / "kreuzberg-pdfium").chmod(0o777)
    with pytest.raises(IngestError, match="somebody else could put another PDF engine there; set TMPDIR to"):
        document(tmp_path / "a.pdf")


def test_the_pdf_engines_folder_is_made_for_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    sample_files.write_pdf(tmp_path / "a.pdf", [["words"]])
    document(tmp_path / "a.pdf")
    assert (tmp_path / "kreuzberg-pdfium").stat().st_mode & 0o777 == 0o700
