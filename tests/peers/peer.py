"""What every kind of peer can be asked to do, so that one test serves all kinds."""

from __future__ import annotations

import hashlib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.peers.namespaces import Namespace
    from tests.peers.process import LoggedProcess

LOOPBACK = "127.0.0.1"


class PeerError(AssertionError):
    """A peer could not do what it was asked."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A value as a peer shows it; fields it does not show are None."""

    data: bytes | None  # None: the peer prints only how long it is, or that it is encrypted
    id: int
    user_type: str | None = None
    seq: int | None = None  # None: not signed, or not shown
    owner: str | None = None  # hex SHA-1 key id of the owner
    is_encrypted: bool = False  # true: still encrypted for this peer


@dataclass(frozen=True, slots=True)
class Heard:
    """One thing a listener was told."""

    value: Seen
    is_expired: bool


@dataclass(frozen=True, slots=True)
class PutDone:
    """How a put ended, and under which id (0: the peer does not say)."""

    ok: bool
    id: int = 0
    why: str = ""  # it failed, where the peer says so


class Listening(Protocol):
    """A running listen."""

    def heard(self) -> list[Heard]:
        """Return everything heard so far, oldest first."""

    def cancel(self) -> None:
        """End the listen."""


@dataclass(frozen=True, slots=True)
class PeerOptions:
    """How a peer is started; port 0 is any free one, a state file is of the peer's own kind."""

    network: int = 0
    bootstrap: str | None = None  # HOST:PORT
    has_identity: bool = False
    has_discovery: bool = False
    is_unlimited: bool = True  # no rate limits: many nodes share one loopback address
    state_path: str | None = None
    port: int = 0
    namespace: Namespace | None = None
    is_verbose: bool = False


class Peer(Protocol):
    """A node of some kind in a process of its own. Keys are 40 hex digits."""

    kind: str
    node_id: bytes
    port: int  # UDP over IPv4
    port6: int  # and over IPv6; 0 without it
    process: LoggedProcess
    options: PeerOptions

    @property
    def key_id(self) -> str:
        """Hex SHA-1 id of the peer's key; needs an identity."""

    @property
    def long_id(self) -> str | None:
        """Hex SHA-256 id of the peer's key; None where the peer does not tell it."""

    def good_nodes(self) -> int:
        """Return how many good nodes the peer counts in its tables."""

    def put(  # noqa: D102 - the name says it
        self,
        key: str,
        data: bytes,
        *,
        value_id: int = 0,
        user_type: str = "",
        permanent: bool = False,
        timeout: float = 20.0,
    ) -> PutDone: ...

    def put_signed(
        self, key: str, data: bytes, *, value_id: int = 0, timeout: float = 20.0
    ) -> PutDone:
        """Sign with the peer's identity and put."""

    def put_encrypted(self, key: str, data: bytes, to: Peer, *, timeout: float = 20.0) -> PutDone:
        """Look up the certificate of *to*, encrypt for it and put."""

    def cancel_put(self, key: str, value_id: int) -> None:
        """Stop announcing a value."""

    def get(self, key: str, *, timeout: float = 20.0) -> list[Seen]:
        """Return every value found, when the search is done."""

    def listen(self, key: str) -> Listening:
        """Start to listen."""

    def change_connectivity(self) -> None:
        """Tell the peer that the network changed, where it can be told."""

    def close(self) -> None:
        """Shut down cleanly; the state file is written."""

    def kill(self) -> None:
        """End at once, as a crash would."""


def key_of(text: str) -> str:
    """Return the 40 hex digits of the key that *text* means."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port that was free a moment ago, for peers that cannot choose one themselves."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def shown(values: list[Seen]) -> list[bytes | None]:
    """Return the contents of *values*, sorted."""
    return sorted((value.data for value in values), key=lambda data: data or b"")


def is_heard(listening: Listening, data: bytes, *, expired: bool = False) -> Callable[[], bool]:
    """Return a look for `until`: has *listening* heard of *data*, or of its end?"""

    def look() -> bool:
        return any(
            event.value.data == data and event.is_expired is expired for event in listening.heard()
        )

    return look
