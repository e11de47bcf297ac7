"""`shoal names serve` in a process of its own, on this machine or on a host of a bench."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.peers.process import LoggedProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.peers.namespaces import Namespace

_STARTED: Final = re.compile(r'^\{"event": "started".*\}$')
_ARMED: Final = re.compile(r'"armed"')
_ROOT: Final = Path(__file__).parents[2]
_START_PATIENCE: Final = 60.0  # seconds, on a busy machine
_STOP_PATIENCE: Final = 20.0  # seconds


class NameServerProcess(LoggedProcess):
    """A name server; `url` is where clients find it."""

    def __init__(
        self,
        data: Path,
        *options: str,
        namespace: Namespace | None = None,
        port: int = 0,
        env: Mapping[str, str] | None = None,
        name: str = "name server",
        is_awaited: bool = True,
    ) -> None:
        where = ("--bind", namespace.host) if namespace is not None else ()
        command = [
            *(sys.executable, "-m", "shoal", "names", "serve", "--json"),
            *("--data", str(data), "--port", str(port), *where, *options),
        ]
        super().__init__(
            name, namespace.inside(command) if namespace is not None else command, env=env
        )
        self.started: dict[str, Any] = {}
        if is_awaited:
            self.wait_started()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return str(self.started["url"])

    @property
    def port(self) -> int:
        """Its TCP port."""
        return int(self.url.rpartition(":")[2])

    def wait_started(self) -> None:
        """Wait until it serves."""
        self.started = json.loads(self.wait_for_line(_STARTED, _START_PATIENCE)[0])

    def end(self) -> int:
        """Ask it to end; return its exit status."""
        return self.stop(_STOP_PATIENCE)


class MortalServer(LoggedProcess):
    """A name server that kills itself at one of the points of a registration."""

    def __init__(
        self,
        data: Path,
        *,
        chain: str = "embedded",
        point: int = 0,
        registry: str = "",
        key: str = "",
        victim: int | None = None,
    ) -> None:
        """Start it; with a *victim* it kills that process instead of itself."""
        words = [str(data), chain, str(point), registry, key, "" if victim is None else str(victim)]
        super().__init__(
            f"server that dies at {point}",
            [sys.executable, "-m", "tests.peers.names_worker", *words],
            cwd=_ROOT,
        )
        started = self.wait_for_line(_STARTED, _START_PATIENCE)
        self.url = str(json.loads(started[0])["url"])

    def arm(self) -> None:
        """Count points from now on."""
        self.write_line("arm")
        self.wait_for_line(_ARMED, _START_PATIENCE)

    def points(self) -> list[str]:
        """Return the points that were reached."""
        told = [json.loads(line) for line in self.lines_from(0) if line.startswith('{"point"')]
        return [each["at"] for each in told]
