"""What takes a while to open and is often not needed."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Late(Generic[T]):
    """Something that is opened when it is first needed, and once, whichever thread needs it first."""

    def __init__(self, opening: Callable[[], T]) -> None:
        self._opening = opening
        self._lock = Lock()
        self._opened: T | None = None

    def get(self) -> T:
        """It. Raises what opening it raises."""
        with self._lock:
            if self._opened is None:
                self._opened = self._opening()
            return self._opened
