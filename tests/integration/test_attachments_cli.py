"""Files that go along with a question, as they go over the wire."""

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Done, aivax
from support.embedding_server import embeddings
from support.in_process import aivax_here
from support.knowledge import write_files
from support.sample_files import (
    write_docx,
    write_epub,
    write_odt,
    write_pdf,
    write_pptx,
    write_rtf,
    write_xlsx,
)
from support.upstream import Upstream, chunk, says, sse, status
from support.workspaces import write_gateway

from aivax_cli.cli.attachments import MAX_CHARACTERS, MAX_IMAGE_BYTES, read_attachment
from aivax_cli.core.types import Attached

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(40))
IMAGES = {
    "a.png": (PNG, "image/png"),
    "photo": (b"\xff\xd8\xff\xe0" + bytes(20), "image/jpeg"),  # told by its content, not by its name
    "a.gif": (b"GIF89a" + bytes(20), "image/gif"),
    "a.webp": (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(20), "image/webp"),
}


def data_url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


class Place:
    def __init__(self, root: Path, upstream: Upstream) -> None:
        self.root = root
        self.upstream = upstream
        write_gateway(root, "g", f"{{base_url: {upstream.url}, name: m}}")

    def complete(self, *arguments: str) -> Done:
        return aivax_here("complete", "g", "What is it?", *arguments, cwd=self.root)

    def write(self, name: str, data: bytes) -> str:
        (self.root / name).write_bytes(data)
        return name

    @property
    def content(self) -> Any:
        """What the last user message of the last request holds."""
        return self.upstream.bodies[-1]["messages"][-1]["content"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Upstream(says("A cat.")) as upstream:
        yield Place(tmp_path, upstream)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_a_content_part_after_the_question(place: Place, name: str) -> None:
    data, media_type = IMAGES[name]
    done = place.complete("-a", place.write(name, data))
    assert (done.code, done.out) == (0, "A cat.\n")
    assert place.content == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": data_url(data, media_type)}},
    ]


def test_documents_stand_as_text_above_the_question(place: Place) -> None:
    place.write("notes.md", b"# Notes\n\nThe cat is grey.\n")
    write_pdf(place.root / "report.pdf", [["The dog is brown."]])
    write_docx(place.root / "letter.docx", [("Normal", "The bird is red.")])
    place.complete("-a", "notes.md", "-a", "report.pdf", "-a", "letter.docx")
    assert place.content.startswith(
        '<document name="notes.md">\n# Notes\n\nThe cat is grey.\n</document>\n\n'
    )
    assert place.content.index("The dog is brown.") < place.content.index("The bird is red.")
    assert place.content.endswith("</document>\n\nWhat is it?")


def test_images_and_documents_go_together(place: Place) -> None:
    place.complete("-a", place.write("a.png", PNG), "-a", place.write("a.py", b"print(1)\n"))
    text, image = place.content
    assert text["text"] == '<document name="a.py">\nprint(1)\n</document>\n\nWhat is it?'
    assert image["type"] == "image_url"


def test_the_address_of_an_image_is_passed_on_and_not_fetched(place: Place) -> None:
    assert place.complete("-a", f"{place.upstream.url}/cat?size=2").code == 0
    assert place.content[1] == {"type": "image_url", "image_url": {"url": f"{place.upstream.url}/cat?size=2"}}
    assert len(place.upstream.requests) == 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [(PNG, data_url(PNG)), (b"grey cat\n", '<document name="stdin">\ngrey cat\n</document>')],
    ids=["image", "text"],
)
def test_a_file_may_come_from_stdin(place: Place, data: bytes, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aivax_cli", "complete", "g", "What is it?", "-a", "-"],
        cwd=place.root,
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert expected in json.dumps(place.content).replace("\\n", "\n").replace('\\"', '"')


def sample(kind: str, path: Path) -> Path:
    """A file of that kind that says "brown dog"."""
    match kind:
        case "pdf":
            write_pdf(path, [["A brown dog."]])
        case "docx":
            write_docx(path, [("Normal", "A brown dog.")])
        case "xlsx":
            write_xlsx(path, [["A brown dog."]])
        case "pptx":
            write_pptx(path, [("Title", "A brown dog.")])
        case "odt":
            write_odt(path, [(0, "A brown dog.")])
        case "epub":
            write_epub(path, "Book", [("One", "A brown dog.")])
        case "rtf":
            write_rtf(path, ["A brown dog."])
        case "html":
            path.write_text("<!DOCTYPE html><html><body><p>A <b>brown</b> dog.</p></body></html>")
    return path


@pytest.mark.parametrize("kind", ["pdf", "docx", "xlsx", "pptx", "odt", "epub", "rtf", "html"])
def test_a_document_from_stdin_is_told_by_its_content(tmp_path: Path, kind: str) -> None:
    data = sample(kind, tmp_path / f"a.{kind}").read_bytes()
    found = read_attachment("-", tmp_path, io.BytesIO(data))
    assert isinstance(found.content, Attached)
    assert "brown" in found.content.text
    assert "<b>" not in found.content.text


def test_a_long_document_is_cut_and_that_is_said(place: Place) -> None:
    done = place.complete("-a", place.write("long.txt", b"word " * 50_000))
    assert f"long.txt: only the first {MAX_CHARACTERS:,} of 249,999 characters are sent" in done.err
    assert len(place.content) < MAX_CHARACTERS + 100


def test_a_document_takes_no_part_in_the_search(place: Place) -> None:
    model = f"{{base_url: {place.upstream.url}, name: m}}"
    collection = f"embedder: {{model: {model}, dimensions: 32}}\n"
    write_files(place.root, {"docs/a.md": "Cats sleep.", "collections/kb.yaml": collection})
    more = "knowledge: {collections: [kb], strategy: UserRewrite}\n"
    write_gateway(place.root, "g", model, more=more)
    place.upstream.answers(embeddings())
    assert aivax_here("ingest", "docs", "-c", "kb", cwd=place.root).code == 0
    place.upstream.requests.clear()
    place.complete("-a", place.write("a.txt", b"secret words\n"))
    rewriting = json.dumps(place.upstream.bodies[0])
    assert "What is it?" in rewriting
    assert "secret words" not in rewriting


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("none.png", None, "no such file: none.png"),
        ("empty.txt", b"", "empty.txt is empty"),
        ("big.png", PNG + bytes(MAX_IMAGE_BYTES), "big.png is an image of over 20 MB"),
        ("a.tiff", b"II*\0" + bytes(20), "a.tiff is an image of a kind that models do not take"),
        ("a.bin", bytes(range(256)), "a.bin: a binary file"),
        ("a.pdf", b"%PDF-1.4\nbroken", "a.pdf: "),
        ("blank.txt", b" \n", "blank.txt holds no text"),
        ("gateways", None, "gateways is a folder"),
        ("https://x.org/report.pdf", None, "https://x.org/report.pdf is no image"),
        ("https://me:pass@x.org/a.png", None, "an address with a password"),
        ("https://", None, "https:// is no address"),
    ],
)
def test_what_cannot_be_attached_is_one_line_and_no_call(
    place: Place, name: str, data: bytes | None, said: str
) -> None:
    if data is not None:
        place.write(name, data)
    done = place.complete("-a", name)
    assert done.code in (1, 2)
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert said in line
    assert not place.upstream.requests


def test_stdin_is_not_read_twice(place: Place) -> None:
    done = place.complete("-a", "-", "-a", "-")
    assert (done.code, "stdin can be read once" in done.err) == (2, True)


@pytest.mark.parametrize(
    "answer",
    [
        status(400, "Invalid content type. image_url is only supported by certain models."),
        status(422, "messages[0]: unknown variant `image_url`, expected `text`"),
        status(500, "image input is not supported - hint: you may need to provide the mmproj"),
    ],
)
def test_an_endpoint_that_refuses_images_is_named_with_its_model(place: Place, answer: Any) -> None:
    place.upstream.answers(answer)
    done = place.complete("-a", place.write("a.png", PNG))
    assert done.code == 1
    assert "refuses the images for the model 'm'" in done.err
    assert "choose a model that takes images" in done.err
    assert "base64" not in done.err


def test_an_image_counts_a_flat_figure_where_the_endpoint_does_not_say(place: Place) -> None:
    place.upstream.answers(sse([chunk("A cat."), chunk(finish="stop")]))
    answer = place.complete("-a", place.write("a.png", PNG + bytes(500_000)), "--json").json
    assert 1_000 < answer["usage"]["prompt_tokens"] < 1_100


def test_no_bytes_of_an_image_are_printed(place: Place) -> None:
    done = place.complete("-a", place.write("a.png", PNG), "--json")
    assert base64.b64encode(PNG).decode() not in done.out + done.err


def test_a_conversation_file_may_hold_images(place: Place) -> None:
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://x.org/a.png"}},
        {"type": "image_url", "image_url": {"url": data_url(PNG), "detail": "low"}},
    ]
    place.write("talk.json", json.dumps([{"role": "user", "content": parts}]).encode())
    done = aivax_here("complete", "g", "--messages", str(place.root / "talk.json"), cwd=place.root)
    assert done.code == 0
    assert [part["type"] for part in place.content] == ["text", "image_url", "image_url"]
    assert place.content[2]["image_url"]["url"] == data_url(PNG)


@pytest.mark.parametrize(
    ("role", "part", "said"),
    [
        (
            "user",
            {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
            "begins with data:image/",
        ),
        ("user", {"type": "input_audio", "input_audio": {}}, "only text parts and image_url parts"),
        ("system", {"type": "image_url", "image_url": "https://x.org/a.png"}, "only messages from the user"),
    ],
)
def test_parts_that_cannot_be_sent_are_refused(place: Place, role: str, part: Any, said: str) -> None:
    talk = [{"role": role, "content": [part]}, {"role": "user", "content": "hi"}]
    place.write("talk.json", json.dumps(talk).encode())
    done = aivax_here("complete", "g", "--messages", str(place.root / "talk.json"), cwd=place.root)
    assert (done.code, said in done.err) == (2, True)


def test_a_chat_sends_a_file_with_the_next_message_and_keeps_it_in_the_conversation(place: Place) -> None:
    place.write("a.png", PNG)
    place.write("a note.txt", b"grey\n")
    typed = "/attach a.png\n/attach a note.txt\nWhat is it?\nSure?\n/why\n"
    done = aivax("chat", "g", cwd=place.root, home=place.root, stdin=typed)
    assert done.code == 0
    first, second = (body["messages"] for body in place.upstream.bodies)
    assert [part["type"] for part in first[0]["content"]] == ["text", "image_url"]
    assert 'name="a note.txt"' in first[0]["content"][0]["text"]
    assert second[0] == first[0]
    assert second[2]["content"] == "Sure?"
    assert "a.png: an image" in done.err
    assert "a note.txt: 4 characters of text" in done.err
    assert "data:image/png;base64,… (48 bytes)" in done.err
    assert base64.b64encode(PNG).decode() not in done.err


def test_what_is_attached_can_be_taken_away(place: Place) -> None:
    place.write("a.png", PNG)
    typed = "/attach a.png\n/attach clear\n/attach\nhi\n"
    done = aivax("chat", "g", cwd=place.root, home=place.root, stdin=typed)
    assert place.content == "hi"
    assert "nothing is attached" in done.err


def test_asking_again_sends_the_files_again(place: Place) -> None:
    place.write("a.png", PNG)
    place.upstream.answers(status(400, "no"), says("A cat."))
    aivax("chat", "g", cwd=place.root, home=place.root, stdin="/attach a.png\nWhat is it?\n/retry\n")
    first, second = (body["messages"] for body in place.upstream.bodies)
    assert first == second
