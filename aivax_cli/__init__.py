"""aivax: turn a folder of documents into an AI gateway."""

__version__ = "0.1.0"
