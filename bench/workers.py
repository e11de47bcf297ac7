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
import time
import traceback
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

NO_BYTE_CODE: Final = "PYTHONDONTWRITEBYTECODE"
EXIT_TIMEOUT: Final = 20.0  # seconds for a worker to end by itself


class Memory(NamedTuple):
    """Memory of a process, in bytes.

    `anonymous` is what it allocated: heaps and stacks. `resident` has the code of its libraries
    too. Proportional shares would depend on who else runs the same libraries at the moment.
    """

    anonymous: int
    resident: int


class WorkerError(Exception):
    """A command failed inside a worker."""


def with_byte_code() -> dict[str, str]:
    """Return an environment in which Python keeps what it compiles, as an installation has it."""
    return {name: value for name, value in os.environ.items() if name != NO_BYTE_CODE}


class Worker:
    """The parent's end: a handle on the process of one side."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=with_byte_code(),
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
        """Return the processor time that the worker has used, all threads and the kernel's part."""
        return float(self.call("processor_seconds"))

    def memory(self) -> Memory:
        """Return what the worker's process holds now."""
        text = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text()
        kibibytes = {
            line.partition(":")[0]: int(line.split()[1])
            for line in text.splitlines()
            if line.endswith(" kB")
        }
        return Memory(kibibytes["Anonymous"] * 1024, kibibytes["Rss"] * 1024)

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
            if method == "processor_seconds":
                answer: dict[str, object] = {"result": time.process_time()}
            else:
                answer = {"result": await getattr(side, method)(**arguments)}
        except Exception as error:  # noqa: BLE001 - the parent is told, and decides
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
