"""Real files of every format become documents."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support import sample_files

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.chunking import Chunker
from aivax_cli.ingest.documents import Document, Found
from aivax_cli.ingest.readers import READERS, SUPPORTED, read


def document(path: Path, content: str | bytes | None = None) -> Document:
    """The file, written first if `content` is given, as it is read."""
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read(Found(path, f"shown/{path.name}"))


def test_every_supported_kind_has_a_reader_and_no_extension_two() -> None:
    assert set(READERS) == set(SUPPORTED)
    extensions = [extension for kind in SUPPORTED.values() for extension in kind]
    assert len(extensions) == len(set(extensions))
    assert all(re.fullmatch(r"\.[a-z0-9]+", extension) for extension in extensions)


def test_markdown_is_kept_as_it_stands_with_its_lines(tmp_path: Path) -> None:
    read_back = document(tmp_path / "a.md", "# The guide\n\nAção *now*.\n")
    assert read_back == Document(
        "shown/a.md", "The guide", "# The guide\n\nAção *now*.\n", "markdown", lines_are_real=True
    )


def test_a_document_without_a_title_goes_by_its_files_name(tmp_path: Path) -> None:
    assert document(tmp_path / "notes.txt", "words").title == "notes"


def test_restructured_text_has_its_own_headings(tmp_path: Path) -> None:
    text = "Manual\n======\n\nInstall\n-------\n\n" + "Use pip to install it. " * 10
    read_back = document(tmp_path / "a.rst", text)
    assert read_back.title == "Manual"
    assert Chunker().chunk(read_back)[0].heading == "Manual > Install"


def test_source_code_is_text_with_real_lines(tmp_path: Path) -> None:
    read_back = document(tmp_path / "a.py", "# not a heading\nx = 1\n")
    assert (read_back.kind, read_back.lines_are_real, read_back.title) == ("code", True, "a")


def test_a_file_of_an_unknown_extension_is_read_as_text(tmp_path: Path) -> None:
    assert document(tmp_path / "a.whatever", "words").kind == "text"


HTML = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Prices &amp; plans</title>
<meta name="description" content="meta words"><link rel="canonical" href="http://x.y/canonical">
<style>p { color: red }</style><script>var tracker = 1</script></head>
<body><nav><a href="/">Home</a></nav><header>Banner words</header>
<main><h1>Prices <a class="headerlink" href="#p">¶</a></h1><p>It costs <b>5&nbsp;€</b>; see
<a href="plans.html">the plans</a> or <a href="https://x.y/z">the site</a>.</p>
<p hidden>hidden words</p><img src="data:image/png;base64,QUJD" alt="A chart">
<h2>Limits</h2><ul><li>one</li><li>two</li></ul>
<pre><code class="language-python"># keep
x = [1](2)</code></pre>
<table><tr><th>plan</th><th>cost</th></tr><tr><td>free</td><td>0</td></tr></table></main>
<svg><text>drawn</text></svg><noscript>no script</noscript><footer>Footer words</footer>
<script>alert("evil()")</script></body></html>"""


def test_html_becomes_markdown_of_what_a_reader_sees(tmp_path: Path) -> None:
    read_back = document(tmp_path / "a.html", HTML)
    assert (read_back.title, read_back.kind, read_back.lines_are_real) == ("Prices & plans", "html", False)
    text = read_back.text
    assert text.startswith("# Prices")
    assert "## Limits" in text
    assert "- one\n- two" in text
    assert "| plan | cost |" in text
    assert "the plans or [the site](https://x.y/z)" in text
    assert "# keep\nx = [1](2)" in text
    assert "A chart" in text


@pytest.mark.parametrize(
    "unwanted",
    [
        "Home",
        "Banner",
        "color",
        "tracker",
        "alert",
        "hidden",
        "drawn",
        "no script",
        "Footer",
        "meta",
        "canonical",
    ],
)
def test_html_brings_nothing_that_a_reader_does_not_see(tmp_path: Path, unwanted: str) -> None:
    assert unwanted not in document(tmp_path / "a.html", HTML).text


def test_html_in_a_declared_legacy_encoding_is_read_in_it(tmp_path: Path) -> None:
    page = '<html><head><meta charset="koi8-r"></head><body><p>привет мир</p></body></html>'
    read_back = document(tmp_path / "a.html", page.encode("koi8-r"))
    assert read_back.text.strip() == "привет мир"
    assert read_back.warnings == ()


def test_html_without_words_says_so(tmp_path: Path) -> None:
    (warning,) = document(tmp_path / "a.html", "<html><body><script>x()</script></body></html>").warnings
    assert warning.startswith("no text found")


PAGES = [
    ["Annual report", "The gateway costs 5 \x80 a month \\(net\\)."],
    ["Page two is about collections of documents."],
    ["# comment in code", "Page three ends it."],
]


def test_a_pdf_gives_its_text_and_where_each_page_begins(tmp_path: Path) -> None:
    sample_files.write_pdf(tmp_path / "a.pdf", PAGES, title="Report 2026")
    read_back = document(tmp_path / "a.pdf")
    assert (read_back.title, read_back.kind, read_back.lines_are_real) == ("Report 2026", "pdf", False)
    assert [read_back.text[start:].split()[0:2] for start in read_back.page_starts] == [
        ["Annual", "report"],
        ["Page", "two"],
        ["\\#", "comment"],
    ]
    assert "The gateway costs 5 € a month (net)." in read_back.text
    pages = [chunk.page for chunk in Chunker(max_tokens=12, min_tokens=1).chunk(read_back)]
    assert sorted(set(filter(None, pages))) == [1, 2, 3]


def test_a_pdfs_large_lines_become_headings_and_its_words_stay_right(tmp_path: Path) -> None:
    """What Kreuzberg itself gives as Markdown says Treettiagic for such a file."""
    prose = (
        "The format of MIME-TreeMagic is described here in words that a person would write. "
        "It has a header, then rules; each rule names a path and a type. Programs look at the rules "
        "in order and take the first that fits, unless another one has a higher priority. Nothing else "
        "is read. Files that no rule knows are left to the database of names, which is older. "
    )
    body = textwrap.wrap(prose * 3, 72)
    sample_files.write_pdf(tmp_path / "a.pdf", [["!1 Introduction", *body], ["!2 Usage", *body]])
    read_back = document(tmp_path / "a.pdf")
    assert re.findall(r"^#+ (.*)$", read_back.text, re.MULTILINE) == ["1 Introduction", "2 Usage"]
    assert read_back.text.count("MIME-TreeMagic") == 6
    (first, *_, last) = Chunker().chunk(read_back)
    assert (first.heading, first.page) == ("a > 1 Introduction", 1)
    assert (last.heading, last.page) == ("a > 2 Usage", 2)


def test_a_pdf_without_text_says_that_it_may_be_a_scan(tmp_path: Path) -> None:
    sample_files.write_pdf(tmp_path / "scan.pdf", [[], []])
    read_back = document(tmp_path / "scan.pdf")
    assert read_back.warnings == ("hardly any text in 2 pages; if it is a scan, run OCR on it first",)
    assert Chunker().chunk(read_back) == []


TRICKY = "R&amp;D: a &lt;b&gt; &#8220;c&#x201D; 5 * 3! snake_case C:\\dir"
PLAIN = "R&D: a <b> “c” 5 * 3! snake_case C:\\dir"


def test_a_word_document_keeps_headings_and_every_character(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    sample_files.write_docx(
        path, [("Heading1", "Guide"), ("", TRICKY), ("Heading2", "Sub")], title="Its title"
    )
    read_back = document(path)
    assert read_back.title == "Its title"
    assert read_back.text == f"# Guide\n\n{PLAIN}\n\n## Sub\n"


def test_slides_are_pages(tmp_path: Path) -> None:
    sample_files.write_pptx(tmp_path / "a.pptx", [("Intro", TRICKY), ("Next", "More words"), ("End", "Bye")])
    read_back = document(tmp_path / "a.pptx")
    assert read_back.text == f"## Intro\n\n{PLAIN}\n\n## Next\n\nMore words\n\n## End\n\nBye\n"
    assert [read_back.text[start:].split("\n")[0] for start in read_back.page_starts] == [
        "## Intro",
        "## Next",
        "## End",
    ]


def test_a_spreadsheet_becomes_a_table_under_its_sheets_name(tmp_path: Path) -> None:
    sample_files.write_xlsx(tmp_path / "a.xlsx", [["item", "price"], ["pear", TRICKY]], sheet="Fruit")
    assert document(tmp_path / "a.xlsx").text == (
        f"## Fruit\n\n| item | price |\n| --- | --- |\n| pear | {PLAIN} |\n"
    )


def test_an_opendocument_text_keeps_headings_and_every_character(tmp_path: Path) -> None:
    sample_files.write_odt(tmp_path / "a.odt", [(1, "Head"), (0, TRICKY.replace("\\", "")), (2, "Sub")])
    read_back = document(tmp_path / "a.odt")
    assert read_back.title == "Head"
    assert read_back.text == f"# Head\n\n{PLAIN.replace(chr(92), '')}\n\n## Sub\n"


def test_an_epub_gives_its_chapters_in_order(tmp_path: Path) -> None:
    sample_files.write_epub(tmp_path / "a.epub", "The book", [("One", TRICKY), ("Two", "Light")])
    read_back = document(tmp_path / "a.epub")
    assert read_back.title == "The book"
    assert read_back.text.split() == f"# One {PLAIN} # Two Light".split()


def test_rich_text_gives_its_paragraphs(tmp_path: Path) -> None:
    sample_files.write_rtf(tmp_path / "a.rtf", ["Caf\\'e9 \\u8364? R&D", "Second"])
    assert document(tmp_path / "a.rtf").text == "Café € R&D\n\nSecond\n"


def test_an_e_mail_gives_subject_sender_and_body(tmp_path: Path) -> None:
    sample_files.write_email(tmp_path / "a.eml", "Invoice 42 for R&D", "Olá Bob, it is due.")
    read_back = document(tmp_path / "a.eml")
    assert read_back.title == "Invoice 42 for R&D"
    assert "ana@example.com" in read_back.text
    assert "Olá Bob, it is due." in read_back.text


def test_an_e_mails_attachments_are_named_as_not_read(tmp_path: Path) -> None:
    sample_files.write_email(tmp_path / "a.eml", "Hi", "See there.", attachment=("a.txt", "attached words"))
    read_back = document(tmp_path / "a.eml")
    assert read_back.warnings == ("1 attachment not read",)
    assert "attached words" not in read_back.text


def test_a_notebook_gives_words_and_code(tmp_path: Path) -> None:
    sample_files.write_notebook(
        tmp_path / "a.ipynb", [("markdown", "# Study\n\nWhy *so*."), ("code", "# c\nx = 1")]
    )
    read_back = document(tmp_path / "a.ipynb")
    assert read_back.title == "Study"
    assert "```\n# c\nx = 1\n```" in read_back.text


def test_a_table_of_values_is_kept_with_its_lines(tmp_path: Path) -> None:
    read_back = document(tmp_path / "prices.csv", "item,price\r\npear,3\r\n")
    assert (read_back.text, read_back.kind, read_back.lines_are_real) == (
        "item,price\npear,3\n",
        "table",
        True,
    )


def test_a_legacy_encoding_is_read_and_said(tmp_path: Path) -> None:
    read_back = document(tmp_path / "a.md", "# Ação\n".encode("cp1252"))
    assert (read_back.title, read_back.warnings) == ("Ação", ("not UTF-8; read as Windows-1252",))


def test_the_case_of_an_extension_does_not_matter(tmp_path: Path) -> None:
    assert document(tmp_path / "A.HTML", "<h1>T</h1>").text == "# T\n"


def test_a_file_that_is_gone_is_an_error_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(IngestError) as caught:
        document(tmp_path / "gone.md")
    assert (
        str(caught.value) == "shown/gone.md: cannot be read: no such file or directory; check its permissions"
    )


def test_reading_leaves_no_cache_behind(tmp_path: Path) -> None:
    """In a process of its own, which stands in an empty folder."""
    documents = tmp_path / "documents"
    here, home = tmp_path / "here", tmp_path / "home"
    for folder in (documents, here, home):
        folder.mkdir()
    sample_files.write_docx(documents / "a.docx", [("", "words")])
    sample_files.write_notebook(documents / "a.ipynb", [("code", "x = 1")])
    (documents / "a.html").write_text("<p>words</p>", encoding="utf-8")
    (documents / "a.py").write_text("x = 1\n", encoding="utf-8")
    program = (
        "import sys; from pathlib import Path; from aivax_cli.ingest.documents import Found\n"
        "from aivax_cli.ingest.readers import read\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()): print(read(Found(path, path.name)).kind)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(documents)],
        cwd=here,
        env={"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["word", "html", "notebook", "code"]
    assert done.stderr == ""
    assert [*here.rglob("*"), *home.rglob("*")] == []
