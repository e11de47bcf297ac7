"""Starting peers by kind, in a network of their own, and ending them all together."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from tests.peers.dhtnode import DhtnodeProcess
from tests.peers.opendht import OpendhtPeer
from tests.peers.peer import LOOPBACK, Peer, PeerOptions
from tests.peers.presence import Need, require
from tests.peers.shoal import ShoalPeer
from tests.peers.waiting import until
from tests.peers.wire_peer import WirePeer

if TYPE_CHECKING:
    from collections.abc import Callable

_Closable = TypeVar("_Closable", bound=contextlib.AbstractContextManager[Any])

DHTNODE: Final = "dhtnode"
OPENDHT: Final = "opendht"
SHOAL: Final = "shoal"
KINDS: Final = (DHTNODE, OPENDHT, SHOAL)
REAL_KINDS: Final = (DHTNODE, OPENDHT)

_STARTERS: Final[dict[str, Callable[..., Peer]]] = {
    DHTNODE: DhtnodeProcess,
    OPENDHT: OpendhtPeer,
    SHOAL: ShoalPeer,
}
_NEEDS: Final = {DHTNODE: (Need.DHTNODE,), OPENDHT: (Need.OPENDHT,), SHOAL: ()}


def need(*kinds: str) -> None:
    """Skip or fail the running test unless these kinds are here."""
    require(*(need for kind in kinds for need in _NEEDS[kind]))


class PeerPool:
    """Peers of one network, whose id nobody else on this machine uses."""

    def __init__(self) -> None:
        self.network = secrets.randbelow(2**31 - 1) + 1
        self.peers: list[Peer] = []
        self.wires: list[WirePeer] = []
        self._once: dict[str, Peer] = {}
        self._rest = contextlib.ExitStack()

    def start(self, kind: str, *, bootstrap: Peer | str | None = None, **wishes: Any) -> Peer:
        """Start a peer; keywords that `PeerOptions` lacks go to the kind's own constructor."""
        need(kind)
        known = {name: wishes.pop(name) for name in list(wishes) if name in _OPTION_NAMES}
        options = replace(PeerOptions(network=self.network), **known)
        if bootstrap is not None:
            options = replace(options, bootstrap=address_of(bootstrap))
        name = wishes.pop("name", f"{kind}-{len(self.peers)}")
        peer = _STARTERS[kind](options, name=name, **wishes)
        self.peers.append(peer)
        return peer

    def once(self, kind: str, **wishes: Any) -> Peer:
        """Return the peer of *kind* that this method started, starting it if need be."""
        if kind not in self._once:
            self._once[kind] = self.start(kind, **wishes)
        return self._once[kind]

    def wire(self, **wishes: Any) -> WirePeer:
        """Open a bare socket in this network."""
        wire = WirePeer(**{"network": self.network, **wishes})
        self.wires.append(wire)
        return wire

    def keep(self, thing: _Closable) -> _Closable:
        """Close *thing* together with the peers."""
        self._rest.enter_context(thing)
        return thing

    def close(self) -> None:
        """Kill every peer: nobody needs what they would save."""
        self._rest.close()
        for peer in self.peers:
            peer.kill()
        for wire in self.wires:
            wire.close()
        self.peers.clear()
        self._once.clear()
        self.wires.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


_OPTION_NAMES: Final = frozenset(PeerOptions.__slots__)


def address_of(peer: Peer | str) -> str:
    """Return HOST:PORT of a peer."""
    if isinstance(peer, str):
        return peer
    namespace = peer.options.namespace
    return f"{LOOPBACK if namespace is None else namespace.host}:{peer.port}"


def connected(*peers: Peer, timeout: float = 20.0) -> None:
    """Wait until each of *peers* counts at least one good node."""
    for peer in peers:
        until(lambda peer=peer: peer.good_nodes() > 0, f"{peer.process.name} connected", timeout)  # type: ignore[misc]
