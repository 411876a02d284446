"""What `--debug` shows of the exchanges with endpoints, on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aivax_cli.render.safe_text import safe_text

if TYPE_CHECKING:
    from aivax_cli.render.screen import Screen

_LOGGERS = ("aivax", "opentelemetry")


@contextmanager
def debug_log(screen: Screen) -> Iterator[None]:
    """Inside the block what is logged for `--debug` is shown, if that was given."""
    if not screen.debug:
        yield
        return
    import logging

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            screen.trace(safe_text(record.getMessage()))

    handler = Shown()
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in _LOGGERS]
    for logger, _ in before:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG if logger.name == _LOGGERS[0] else logging.WARNING)
    try:
        yield
    finally:
        for logger, level in before:
            logger.removeHandler(handler)
            logger.setLevel(level)
