"""Who did and saw what: shown when a test fails."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

LINES_MAX: Final = 1_000  # ours: a test that fails after more than that is read from its end


class Transcript:
    """Lines in the order in which they happened."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LINES_MAX)
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def add(self, who: str, what: str) -> None:
        """Add a line."""
        seconds = time.monotonic() - self._began
        with self._lock:
            self._lines.append(f"{seconds:7.2f}  {who:<10} {what}")

    def __str__(self) -> str:
        with self._lock:
            return "\n".join(self._lines)
