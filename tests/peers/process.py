"""Child processes whose lines are kept, whose end is certain and whose log a failing test shows."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Self

from tests.peers.waiting import NotReachedError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

LINES_KEPT_MAX: Final = 20_000  # per process; older ones are forgotten
LINE_SHOWN_MAX: Final = 300  # characters of one line in a failure report
STOP_PATIENCE: Final = 3.0  # seconds between asking and killing

_alive: dict[int, LoggedProcess] = {}


class LoggedProcess:
    """A child in a process group of its own; standard error joins standard output."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.lines: deque[str] = deque(maxlen=LINES_KEPT_MAX)
        self.lines_seen = 0  # of all lines ever read, those forgotten included
        self._on_line = on_line
        self._changed = threading.Condition()
        self._child = subprocess.Popen(  # noqa: S603 - a peer of ours
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
        _alive[id(self)] = self
        self._reader = threading.Thread(target=self._read, name=f"lines of {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether the child has not ended."""
        return self._child.poll() is None

    @property
    def return_code(self) -> int | None:
        """How the child ended; None while it runs."""
        return self._child.poll()

    def write_line(self, text: str) -> None:
        """Type *text* and a line feed into the child."""
        assert self._child.stdin is not None
        self._child.stdin.write(text.encode() + b"\n")
        self._child.stdin.flush()

    def wait_for_line(
        self, pattern: re.Pattern[str], timeout: float = 10.0, *, after: int = 0
    ) -> re.Match[str]:
        """Return the first match of *pattern* in a line numbered *after* or later.

        Raises:
            NotReachedError: no such line in *timeout* seconds, or the child ended without it.
        """
        deadline = time.monotonic() + timeout
        looked = after
        with self._changed:
            while True:
                for index, line in self._numbered(looked):
                    if found := pattern.search(line):
                        return found
                    looked = index + 1
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    raise NotReachedError(
                        f"{self.name}: no line like {pattern.pattern!r} in {timeout:g} s"
                        f" (exit code {self.return_code})\n{self.tail(20)}"
                    )
                self._changed.wait(min(left, 0.2))

    def lines_from(self, number: int) -> list[str]:
        """Return the lines numbered *number* and later."""
        with self._changed:
            return [line for _, line in self._numbered(number)]

    def tail(self, count: int = 60) -> str:
        """Return the last *count* lines, long ones cut, for a failure report."""
        return "\n".join(line[:LINE_SHOWN_MAX] for line in list(self.lines)[-count:])

    def signal(self, number: int) -> None:
        """Send a signal to the child's whole group; nothing if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)

    def kill(self) -> None:
        """End the child without warning, as a crash would."""
        self.signal(signal.SIGKILL)
        self._finish()

    def stop(self, patience: float = STOP_PATIENCE) -> int:
        """Ask the child to end, then make it; return its exit code."""
        if self.is_running:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(patience)
        self.kill()
        return self._child.returncode

    def wait(self, timeout: float) -> int:
        """Wait for the child to end by itself; return its exit code.

        Raises:
            subprocess.TimeoutExpired: it did not.
        """
        code = self._child.wait(timeout)
        self._finish()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _finish(self) -> None:
        self._child.wait()
        if self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()
        self._reader.join(STOP_PATIENCE)
        if self._child.stdout is not None and not self._reader.is_alive():
            self._child.stdout.close()
        _alive.pop(id(self), None)

    def _numbered(self, start: int) -> list[tuple[int, str]]:
        first = self.lines_seen - len(self.lines)
        lines = list(self.lines)
        return list(enumerate(lines[max(0, start - first) :], max(start, first)))

    def _read(self) -> None:
        assert self._child.stdout is not None
        for raw in self._child.stdout:
            line = raw.decode(errors="replace").rstrip("\r\n")
            with self._changed:
                self.lines.append(line)
                self.lines_seen += 1
                self._changed.notify_all()
            if self._on_line is not None:
                self._on_line(line)
        with self._changed:
            self._changed.notify_all()


def running() -> list[LoggedProcess]:
    """Return the processes that were started and not yet stopped."""
    return list(_alive.values())


@atexit.register
def stop_all() -> None:
    """Kill whatever is left; a test session that ends badly leaves nothing behind."""
    for process in running():
        process.kill()
