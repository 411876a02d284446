"""Which files mean which kind of document."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

SUPPORTED: Final[Mapping[str, tuple[str, ...]]] = {
    "markdown": (".md", ".markdown", ".mdown", ".mkd", ".mdx", ".qmd", ".rmd"),
    "rst": (".rst", ".rest"),
    "text": (".txt", ".text", ".log", ".adoc", ".asciidoc", ".org", ".tex", ".srt", ".vtt"),
    "html": (".html", ".htm", ".xhtml"),
    "pdf": (".pdf",),
    "word": (".docx", ".docm", ".dotx"),
    "slides": (".pptx", ".pptm", ".ppsx"),
    "spreadsheet": (".xlsx", ".xlsm"),
    "opendocument": (".odt",),
    "epub": (".epub",),
    "rtf": (".rtf",),
    "email": (".eml",),
    "notebook": (".ipynb",),
    "table": (".csv", ".tsv"),
    "code": (
        *(".py", ".pyi", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".vue", ".svelte", ".java", ".kt"),
        *(".kts", ".scala", ".groovy", ".go", ".rs", ".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".cs"),
        *(".fs", ".vb", ".rb", ".php", ".pl", ".lua", ".r", ".jl", ".swift", ".m", ".mm", ".dart", ".ex"),
        *(".exs", ".erl", ".hs", ".ml", ".clj", ".lisp", ".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat"),
        *(".sql", ".graphql", ".proto", ".css", ".scss", ".less", ".json", ".jsonl", ".yaml", ".yml"),
        *(".toml", ".ini", ".cfg", ".conf", ".xml", ".tf", ".cmake", ".gradle", ".dockerfile"),
    ),
}
"""Kinds of documents and the file extensions that mean them. Any other file is read as text if it is text."""

CONVERTED: Final = frozenset(
    {"html", "pdf", "word", "slides", "spreadsheet", "opendocument", "epub", "rtf", "email", "notebook"}
)
"""Kinds whose text is converted to Markdown, so that its lines are not those of the file."""

_KINDS: Final[Mapping[str, str]] = {
    extension: kind for kind, extensions in SUPPORTED.items() for extension in extensions
}


def kind_of(path: Path) -> str:
    """The kind that a file's extension means; `text` for any other."""
    return _KINDS.get(path.suffix.lower(), "text")


def is_known(path: Path) -> bool:
    """Whether the file's extension is one of those that are read."""
    return path.suffix.lower() in _KINDS
