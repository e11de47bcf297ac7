"""The worker's side of a JSON-lines conversation: commands on standard input, answers on output.

A command is `{"op": number, "do": name, …}`; each is answered once by `{"op", "ok": true, …}` or
`{"op", "ok": false, "error": text}`, and some add `{"op", "event": name, …}` lines at any time.
Bytes travel as hexadecimal text.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_output_lock = threading.Lock()


def say(message: dict[str, Any]) -> None:
    """Write one line; whole, whichever thread writes it."""
    line = json.dumps(message)
    with _output_lock:
        sys.stdout.write("\n" + line + "\n")  # a library may have left half a line behind
        sys.stdout.flush()


def commands() -> Iterator[dict[str, Any]]:
    """Yield the commands until standard input ends."""
    for line in sys.stdin:
        if line.strip():
            command: dict[str, Any] = json.loads(line)
            yield command


def answerer(op: int) -> Callable[..., None]:
    """Return what answers command *op*."""

    def answer(*, ok: bool = True, **facts: object) -> None:
        say({"op": op, "ok": ok, **facts})

    return answer
