"""A side in a process of its own, so that memory and processor time are its alone.

Parent and worker exchange lines of JSON: `[method, {arguments}]` one way, `{"result": …}` or
`{"error": …}` the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, Final, Self

EXIT_TIMEOUT: Final = 20.0  # seconds for a worker to end by itself
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


class WorkerError(Exception):
    """A command failed inside a worker."""


class Worker:
    """The parent's end: a handle on the process of one side."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def call(self, method: str, /, **arguments: Any) -> Any:
        """Run *method* in the worker and return its result.

        Raises:
            WorkerError: the method failed, or the worker ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([method, arguments]) + "\n")
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(f"the worker ended with status {self._process.wait(EXIT_TIMEOUT)}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["result"]

    def processor_seconds(self) -> float:
        """Return the processor time that the worker has used, all threads together."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def proportional_bytes(self) -> int:
        """Return the worker's memory: its own pages and its share of shared ones."""
        text = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text()
        line = next(line for line in text.splitlines() if line.startswith("Pss:"))
        return int(line.split()[1]) * 1024

    def close(self) -> None:
        """Let the worker end, or end it."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


async def serve(side: object) -> None:
    """Be the worker's end: run coroutine methods of *side* until the parent is gone."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not end up between answers
    while line := await asyncio.to_thread(sys.stdin.readline):
        method, arguments = json.loads(line)
        try:
            answer = {"result": await getattr(side, method)(**arguments)}
        except Exception as error:  # noqa: BLE001 - the parent is told, and decides
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
