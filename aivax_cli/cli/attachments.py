"""Files that go along with a question: images as they are, documents as their text."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.core.errors import UsageError
from aivax_cli.core.types import Attached, Conversation, Image, Message

MAX_IMAGE_BYTES: Final = 20_000_000
MAX_DOCUMENT_BYTES: Final = 50_000_000
MAX_CHARACTERS: Final = 200_000
"""Of a document's text; about 50,000 tokens."""

STDIN: Final = "-"
_HEAD: Final = 4_096


class Attachment(Struct, frozen=True):
    """One file: an image, or a document's text. `notes` say what of it is not sent, or not to be trusted."""

    name: str
    content: Image | Attached
    notes: tuple[str, ...] = ()


def read_attachment(place: str, directory: Path, stdin: BinaryIO | None = None) -> Attachment:
    """What stands at a path (relative to `directory`), on stdin (`-`), or at the address of an image.

    An address is passed on to the model's endpoint; nothing is fetched here. Raises UsageError, and
    IngestError when a document cannot be read, each in one line.
    """
    if place.lower().startswith(("http://", "https://")):
        return Attachment(place, Image(_image_address(place)))
    if place == STDIN and stdin is not None:
        return _of_bytes("stdin", stdin.read(MAX_DOCUMENT_BYTES + 1), None)
    # Unlike Path.expanduser this leaves the home of somebody unknown as it is.
    path = directory / os.path.expanduser(place)  # noqa: PTH111
    try:
        if path.is_dir():
            raise UsageError(f"{place} is a folder", fix="attach its files, or make a collection of it")
        with path.open("rb") as file:
            data = file.read(MAX_DOCUMENT_BYTES + 1)
        return _of_bytes(place, data, path if path.is_file() else None)
    except FileNotFoundError as error:
        raise UsageError(f"no such file: {place}", fix="attach a file that is there") from error
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "not a file's name").lower()
        raise UsageError(f"cannot attach {place}: {reason}") from error


def attached_to(conversation: Conversation, attachments: Sequence[Attachment]) -> Conversation:
    """The conversation with the files at its last message."""
    if not attachments:
        return conversation
    return (*conversation[:-1], with_files(conversation[-1], attachments))


def with_files(message: Message, attachments: Sequence[Attachment]) -> Message:
    """The message with the files after those that it has."""
    images = tuple(each.content for each in attachments if isinstance(each.content, Image))
    documents = tuple(each.content for each in attachments if isinstance(each.content, Attached))
    return replace(message, images=(*message.images, *images), attached=(*message.attached, *documents))


def described(attachment: Attachment) -> str:
    """`report.pdf: 12,034 characters of text`."""
    content = attachment.content
    if isinstance(content, Attached):
        return f"{attachment.name}: {len(content.text):,} characters of text"
    return f"{attachment.name}: an image" + ("" if content.url.startswith("data:") else ", by its address")


def image_type(head: bytes) -> str | None:
    """The media type of an image that models take, by its first bytes; None for anything else."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def is_image_file(path: Path) -> bool:
    """Whether there is a file with an image in it, also one of a kind that models do not take."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except (OSError, ValueError):
        return False
    return image_type(head) is not None or _other_image(head)


def _of_bytes(name: str, data: bytes, path: Path | None) -> Attachment:
    if not data:
        raise UsageError(f"{name} is empty", fix="there is nothing to attach")
    if media_type := image_type(data[:_HEAD]):
        if len(data) > MAX_IMAGE_BYTES:
            most = MAX_IMAGE_BYTES // 1_000_000
            raise UsageError(
                f"{name} is an image of over {most} MB", fix="make it smaller: models do so anyway"
            )
        return Attachment(name, Image(_data_url(media_type, data)))
    if _other_image(data[:_HEAD]):
        raise UsageError(
            f"{name} is an image of a kind that models do not take", fix="save it as PNG or JPEG"
        )
    if len(data) > MAX_DOCUMENT_BYTES:
        most = MAX_DOCUMENT_BYTES // 1_000_000
        raise UsageError(f"{name} is over {most} MB long", fix="make a collection of it: aivax ingest")
    return _document(name, data, path)


def _document(name: str, data: bytes, path: Path | None) -> Attachment:
    from aivax_cli.ingest.documents import Found
    from aivax_cli.ingest.readers import read

    if path is not None:
        document = read(Found(path, name))
    else:
        with tempfile.TemporaryDirectory(prefix="aivax-") as folder:
            copy = Path(folder) / f"attachment{_ending(data)}"
            copy.write_bytes(data)
            document = read(Found(copy, name))
    text = document.text.strip()
    if not any(map(str.isalnum, text)):
        raise UsageError(f"{name} holds no text", fix="if it is a scan, attach its pages as images")
    notes = tuple(f"{name}: {warning}" for warning in document.warnings)
    if len(text) > MAX_CHARACTERS:
        notes += (f"{name}: only the first {MAX_CHARACTERS:,} of {len(text):,} characters are sent",)
        text = text[:MAX_CHARACTERS]
    return Attachment(name, Attached(Path(name).name, text), notes)


def _data_url(media_type: str, data: bytes) -> str:
    import base64

    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def _ending(data: bytes) -> str:
    """The ending that says what bytes without a name are, so that the right reader takes them."""
    if b"%PDF-" in data[:1024]:
        return ".pdf"
    if data.startswith(b"{\\rtf"):
        return ".rtf"
    if data.startswith(b"PK\x03\x04"):
        return next((ending for mark, ending in _PACKED if mark in data), ".zip")
    if data[:_HEAD].lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        return ".html"
    return ".txt"


_PACKED: Final = (
    (b"application/epub+zip", ".epub"),
    (b"application/vnd.oasis.opendocument.text", ".odt"),
    (b"word/document.xml", ".docx"),
    (b"ppt/presentation.xml", ".pptx"),
    (b"xl/workbook.xml", ".xlsx"),
)
"""What stands uncompressed in the archives that documents are."""


def _other_image(head: bytes) -> bool:
    """BMP, TIFF, icons, HEIC and AVIF."""
    if head.startswith((b"II*\0", b"MM\0*", b"\0\0\1\0")) or (head[:2] == b"BM" and head[6:10] == bytes(4)):
        return True
    return head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"avif", b"avis")


def _image_address(url: str) -> str:
    from aivax_cli.ingest.supported import CONVERTED, kind_of

    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host:
        raise UsageError(f"{url} is no address")
    if parts.username or parts.password:
        raise UsageError("an address with a password in it is not passed on", fix="download the file first")
    ending = Path(parts.path).suffix
    if ending and kind_of(Path(parts.path)) in CONVERTED:
        raise UsageError(
            f"{url} is no image; only images are passed on by their address",
            fix="download it first: curl -LO URL, then attach the file",
        )
    return url
