"""Debian's `turnserver` (coturn 4.6): STUN and TURN, over UDP and TCP, for one user."""

from __future__ import annotations

import contextlib
import re
import socket
from typing import TYPE_CHECKING, Final

from tests.peers.netns import visit
from tests.peers.peer import LOOPBACK, free_port
from tests.peers.process import LoggedProcess
from tests.peers.waiting import until

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from tests.peers.namespaces import Namespace

_PORT: Final = 3478  # RFC 8656
_ALLOCATED: Final = re.compile(
    r"realm <ring> user <ring>: incoming packet ALLOCATE processed, success"
)
_START_TIMEOUT: Final = 20.0  # seconds


class CoturnProcess:
    """One server: on a host of its own, or on a free port of the loopback."""

    username: Final = "ring"  # what Jami's accounts have for turn.jami.net
    password: Final = "ring"  # noqa: S105 - public
    realm: Final = "ring"

    def __init__(self, folder: Path, namespace: Namespace | None = None) -> None:
        self.namespace = namespace
        self.host = namespace.host if namespace else LOOPBACK
        self.port = _PORT if namespace else free_port()
        command = [
            "turnserver", "-n", "--log-file", "stdout", "--simple-log", "--verbose",
            "--listening-ip", self.host, "--relay-ip", self.host,
            "--listening-port", str(self.port), "--lt-cred-mech", "--fingerprint",
            "--realm", self.realm, "--user", f"{self.username}:{self.password}",
            "--no-tls", "--no-dtls", "--no-cli", "--allow-loopback-peers",
            "--pidfile", str(folder / "turnserver.pid"), "--userdb", str(folder / "turn.sqlite"),
        ]  # fmt: skip
        self.process = LoggedProcess(
            "coturn",
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                *(namespace.inside(command) if namespace else command),
            ],
            cwd=folder,
        )
        until(self._is_open, "coturn's port", _START_TIMEOUT)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{self.host}:{self.port}"

    @property
    def allocations(self) -> int:
        """How many relayed addresses it has given out so far."""
        return sum(_ALLOCATED.search(line) is not None for line in self.process.lines)

    def close(self) -> None:
        """End the server."""
        self.process.kill()

    def _is_open(self) -> bool:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stay:
            if self.namespace:
                stay.enter_context(visit(self.namespace))
            socket.create_connection((self.host, self.port), timeout=1.0).close()
            return True
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()
