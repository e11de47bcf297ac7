"""One ICE session: from candidates to a path, and the bytes on it (reference 5.4 to 5.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import Address, Entropy
    from shoal.net.ice.candidates import IceDescription
    from shoal.net.ice.config import IceConfig
    from shoal.net.ice.effects import Effect
    from shoal.net.ice.path import PairReport


class IceEngine:
    """An ICE agent for one session.

    `gather` → `Gathered`; `start` with the peer's description → one `Selected` per component;
    then `send` and `Received` until `Closed` or `Failed`, or `close`.
    """

    def __init__(self, config: IceConfig, entropy: Entropy, *, is_controlling: bool) -> None:
        raise NotImplementedError

    @property
    def is_controlling(self) -> bool:
        """The role, which a conflict may change until a path is selected."""
        raise NotImplementedError

    @property
    def is_connected(self) -> bool:
        """Whether every component has its path, and nothing ended."""
        raise NotImplementedError

    @property
    def is_over(self) -> bool:
        """Whether it failed or was closed."""
        raise NotImplementedError

    def pairs(self, now: float) -> tuple[PairReport, ...]:
        """Return what was tried so far."""
        raise NotImplementedError

    # Commands

    def gather(self, hosts: Sequence[bytes], public: Sequence[bytes], now: float) -> list[Effect]:
        """Gather candidates; `Gathered` follows within `GATHER_TIME`, or `Failed`.

        Args:
            hosts: packed IP addresses of our interfaces, best first.
            public: packed IP addresses under which DHT nodes see us.
            now: the time.
        """
        raise NotImplementedError

    def start(self, remote: IceDescription, now: float) -> list[Effect]:
        """Check the pairs with the candidates of *remote*; `Selected` or `Failed` follows."""
        raise NotImplementedError

    def send(self, data: bytes | memoryview, now: float, component: int = 1) -> list[Effect]:
        """Send *data* on the selected path: over TCP any amount, over UDP one datagram."""
        raise NotImplementedError

    def close(self, now: float) -> list[Effect]:
        """Close everything; no event follows. What was sent before still goes out."""
        raise NotImplementedError

    # Inputs

    def socket_opened(self, socket: int, local: Address, now: float) -> list[Effect]:
        """Learn that `Listen` succeeded, bound to *local*."""
        raise NotImplementedError

    def socket_failed(self, socket: int, reason: str, now: float) -> list[Effect]:
        """Learn that `Listen` failed or that *socket* broke."""
        raise NotImplementedError

    def link_opened(self, link: int, local: Address, remote: Address, now: float) -> list[Effect]:
        """Learn that `Connect` succeeded."""
        raise NotImplementedError

    def link_accepted(
        self, socket: int, link: int, local: Address, remote: Address, now: float
    ) -> list[Effect]:
        """Learn that somebody connected to *socket*."""
        raise NotImplementedError

    def link_failed(self, link: int, reason: str, now: float) -> list[Effect]:
        """Learn that `Connect` failed, or that an open link broke; the driver has closed it."""
        raise NotImplementedError

    def receive(self, link: int, data: bytes | memoryview, now: float) -> list[Effect]:
        """Take what arrived on a TCP link. Never raises."""
        raise NotImplementedError

    def receive_eof(self, link: int, now: float) -> list[Effect]:
        """Learn that the other side of *link* sends no more."""
        raise NotImplementedError

    def receive_datagram(self, socket: int, data: bytes, addr: Address, now: float) -> list[Effect]:
        """Take one datagram from *addr*. Never raises."""
        raise NotImplementedError

    def server_resolved(
        self, host: str, port: int, addrs: Sequence[Address], now: float
    ) -> list[Effect]:
        """Learn the addresses of a server; none if it cannot be resolved."""
        raise NotImplementedError

    def port_mapped(self, socket: int, external: Address | None, now: float) -> list[Effect]:
        """Learn which external address the router forwards to *socket*; None if it does not."""
        raise NotImplementedError

    def next_deadline(self) -> float | None:
        """When `advance` next has work."""
        raise NotImplementedError

    def advance(self, now: float) -> list[Effect]:
        """Do what is due at *now*."""
        raise NotImplementedError
