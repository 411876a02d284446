"""Tiny valid files of every format that is read, built from their bytes so that no binary lies in git."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from pathlib import Path


def _zip(path: Path, members: Mapping[str, str | bytes], *, first_stored: bool = False) -> Path:
    """A zip of `members`; `first_stored` leaves the first uncompressed, as EPUB and ODF want it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, content) in enumerate(members.items()):
            stored = first_stored and number == 0
            archive.writestr(name, content, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    return path


def _pdf_line(line: str) -> str:
    size = 24 if line.startswith("!") else 12
    return f"/F1 {size} Tf {1.5 * size} TL T* ({line.removeprefix('!')}) Tj"


def pdf_bytes(pages: Sequence[Sequence[str]], *, title: str = "", encrypted: bool = False) -> bytes:
    """A PDF with one Helvetica text line for each string; a page without strings has no text at all.

    A string that begins with `!` is set in 24 points instead of 12, as headings are.

    `encrypted` names an encryption handler with a key that no password opens.
    """
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, lines in enumerate(pages):
        content = f"BT 72 760 Td {' '.join(map(_pdf_line, lines))} ET" if lines else ""
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>"
        )
        size = len(content.encode("latin-1"))
        objects.append(f"<< /Length {size} >>\nstream\n{content}\nendstream")
    objects.append(f"<< /Title ({title}) >>")
    info = len(objects)
    trailer = f"/Size {info + 1} /Root 1 0 R /Info {info} 0 R"
    if encrypted:
        key = "00" * 32
        objects.append(
            f"<< /Filter /Standard /V 2 /R 3 /Length 128 /P -44 /O <{key}> /U <{key}> >>",
        )
        trailer = f"/Size {info + 2} /Root 1 0 R /Encrypt {info + 1} 0 R /ID [<{key[:32]}> <{key[:32]}>]"
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(out.tell())
        out.write(f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1"))
    table = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    for offset in offsets:
        out.write(f"{offset:010d} 00000 n \n".encode())
    out.write(f"trailer\n<< {trailer} >>\nstartxref\n{table}\n%%EOF\n".encode())
    return out.getvalue()


def write_pdf(
    path: Path, pages: Sequence[Sequence[str]], *, title: str = "", encrypted: bool = False
) -> Path:
    path.write_bytes(pdf_bytes(pages, title=title, encrypted=encrypted))
    return path


_CONTENT_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>'
)
_RELS = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    "{rels}</Relationships>"
)
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_OFFICE = "application/vnd.openxmlformats-officedocument"


def _types(**parts: str) -> str:
    return _CONTENT_TYPES.format(
        overrides="".join(
            f'<Override PartName="/{part}" ContentType="{_OFFICE}.{kind}+xml"/>'
            for part, kind in parts.items()
        )
    )


def _rels(**targets: str) -> str:
    return _RELS.format(
        rels="".join(
            f'<Relationship Id="rId{number}" Type="{_REL}/{kind}" Target="{target}"/>'
            for number, (target, kind) in enumerate(targets.items(), start=1)
        )
    )


def docx_members(paragraphs: Sequence[tuple[str, str]], *, title: str = "") -> dict[str, str]:
    """A DOCX's parts; each paragraph is (style, text), style being "" or e.g. `Heading1`."""
    body = "".join(
        f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'
        if style
        else f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"
        for style, text in paragraphs
    )
    main = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{n}"><w:name w:val="heading {n}"/>'
        f'<w:pPr><w:outlineLvl w:val="{n - 1}"/></w:pPr></w:style>'
        for n in (1, 2, 3)
    )
    core = (
        "<cp:coreProperties "
        'xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></cp:coreProperties>'
    )
    return {
        "[Content_Types].xml": _types(
            **{
                "word/document.xml": "wordprocessingml.document.main",
                "word/styles.xml": "wordprocessingml.styles",
            }
        ),
        "_rels/.rels": _RELS.format(
            rels=f'<Relationship Id="rId1" Type="{_REL}/officeDocument" Target="word/document.xml"/>'
            '<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/package/2006/relationships/'
            'metadata/core-properties" Target="docProps/core.xml"/>'
        ),
        "word/_rels/document.xml.rels": _rels(**{"styles.xml": "styles"}),
        "word/document.xml": f'<w:document xmlns:w="{main}"><w:body>{body}</w:body></w:document>',
        "word/styles.xml": f'<w:styles xmlns:w="{main}">{styles}</w:styles>',
        "docProps/core.xml": core,
    }


def write_docx(path: Path, paragraphs: Sequence[tuple[str, str]], *, title: str = "") -> Path:
    return _zip(path, docx_members(paragraphs, title=title))


def write_xlsx(path: Path, rows: Sequence[Sequence[str]], *, sheet: str = "Sheet1") -> Path:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    cells = "".join(
        f'<row r="{r}">'
        + "".join(
            f'<c r="{chr(64 + c)}{r}" t="inlineStr"><is><t>{value}</t></is></c>'
            for c, value in enumerate(row, start=1)
        )
        + "</row>"
        for r, row in enumerate(rows, start=1)
    )
    return _zip(
        path,
        {
            "[Content_Types].xml": _types(
                **{
                    "xl/workbook.xml": "spreadsheetml.sheet.main",
                    "xl/worksheets/sheet1.xml": "spreadsheetml.worksheet",
                }
            ),
            "_rels/.rels": _rels(**{"xl/workbook.xml": "officeDocument"}),
            "xl/_rels/workbook.xml.rels": _rels(**{"worksheets/sheet1.xml": "worksheet"}),
            "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{_REL}"><sheets>'
            f'<sheet name="{sheet}" sheetId="1" r:id="rId1"/></sheets></workbook>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData>'
            "</worksheet>",
        },
    )


def write_pptx(path: Path, slides: Sequence[tuple[str, str]]) -> Path:
    """Each slide is (title, body text)."""
    a = "http://schemas.openxmlformats.org/drawingml/2006/main"
    p = "http://schemas.openxmlformats.org/presentationml/2006/main"

    def shape(number: int, kind: str, text: str) -> str:
        return (
            f'<p:sp><p:nvSpPr><p:cNvPr id="{number}" name="{kind} {number}"/><p:cNvSpPr/>'
            f'<p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr><p:spPr/>'
            f"<p:txBody><a:bodyPr/><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
        )

    members = {
        "[Content_Types].xml": _types(
            **{"ppt/presentation.xml": "presentationml.presentation.main"},
            **{f"ppt/slides/slide{n}.xml": "presentationml.slide" for n in range(1, len(slides) + 1)},
        ),
        "_rels/.rels": _rels(**{"ppt/presentation.xml": "officeDocument"}),
        "ppt/_rels/presentation.xml.rels": _rels(
            **{f"slides/slide{n}.xml": "slide" for n in range(1, len(slides) + 1)}
        ),
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{p}" xmlns:r="{_REL}"><p:sldIdLst>'
        + "".join(f'<p:sldId id="{255 + n}" r:id="rId{n}"/>' for n in range(1, len(slides) + 1))
        + "</p:sldIdLst></p:presentation>",
    }
    for number, (title, body) in enumerate(slides, start=1):
        members[f"ppt/slides/slide{number}.xml"] = (
            f'<p:sld xmlns:p="{p}" xmlns:a="{a}"><p:cSld><p:spTree>'
            f"{shape(2, 'title', title)}{shape(3, 'body', body)}</p:spTree></p:cSld></p:sld>"
        )
    return _zip(path, members)


def write_odt(path: Path, paragraphs: Sequence[tuple[int, str]]) -> Path:
    """Each paragraph is (heading level or 0, text)."""
    office = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
    text = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
    manifest = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    body = "".join(
        f'<text:h text:outline-level="{level}">{words}</text:h>' if level else f"<text:p>{words}</text:p>"
        for level, words in paragraphs
    )
    return _zip(
        path,
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "META-INF/manifest.xml": f'<m:manifest xmlns:m="{manifest}">'
            '<m:file-entry m:full-path="/" m:media-type="application/vnd.oasis.opendocument.text"/>'
            '<m:file-entry m:full-path="content.xml" m:media-type="text/xml"/></m:manifest>',
            "content.xml": f'<office:document-content xmlns:office="{office}" xmlns:text="{text}" '
            f'office:version="1.2"><office:body><office:text>{body}</office:text></office:body>'
            "</office:document-content>",
        },
        first_stored=True,
    )


def write_epub(path: Path, title: str, chapters: Sequence[tuple[str, str]]) -> Path:
    """Each chapter is (heading, text)."""
    numbers = range(1, len(chapters) + 1)
    manifest = "".join(
        f'<item id="c{n}" href="c{n}.xhtml" media-type="application/xhtml+xml"/>' for n in numbers
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in numbers)
    members = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": "<container "
        'version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/>'
        "</rootfiles></container>",
        "OEBPS/content.opf": "<package "
        'xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">x</dc:identifier>'
        f"<dc:title>{title}</dc:title><dc:language>en</dc:language></metadata>"
        f"<manifest>{manifest}</manifest><spine>{spine}</spine></package>",
    }
    for number, (heading, words) in enumerate(chapters, start=1):
        members[f"OEBPS/c{number}.xhtml"] = (
            '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>c</title></head>'
            f"<body><h1>{heading}</h1><p>{words}</p></body></html>"
        )
    return _zip(path, members, first_stored=True)


def write_rtf(path: Path, paragraphs: Sequence[str]) -> Path:
    body = "\\par ".join(paragraphs)
    path.write_bytes(b"{\\rtf1\\ansi\\deff0{\\fonttbl{\\f0 Times;}}\\f0 " + body.encode("ascii") + b"}")
    return path


def write_email(path: Path, subject: str, body: str, *, attachment: tuple[str, str] | None = None) -> Path:
    """`attachment` is a file's name and its text."""
    message = EmailMessage()
    message["From"] = "ana@example.com"
    message["To"] = "bob@example.com"
    message["Subject"] = subject
    message["Date"] = "Mon, 2 Mar 2026 10:00:00 +0000"
    message.set_content(body)
    if attachment is not None:
        name, text = attachment
        message.add_attachment(text.encode(), maintype="application", subtype="octet-stream", filename=name)
    path.write_bytes(message.as_bytes())
    return path


def write_notebook(path: Path, cells: Sequence[tuple[str, str]]) -> Path:
    """Each cell is (`markdown` or `code`, source)."""
    path.write_text(
        json.dumps(
            {
                "cells": [
                    {"cell_type": kind, "metadata": {}, "source": source.splitlines(keepends=True)}
                    | ({"outputs": [], "execution_count": 1} if kind == "code" else {})
                    for kind, source in cells
                ],
                "metadata": {"language_info": {"name": "python"}},
                "nbformat": 4,
                "nbformat_minor": 5,
            }
        ),
        encoding="utf-8",
    )
    return path
