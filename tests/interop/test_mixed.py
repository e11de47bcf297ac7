"""Networks of all kinds: whoever is the only way in, each kind puts and each kind gets."""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING

import pytest

from tests.peers.dhtnode import DhtnodeProcess
from tests.peers.peer import Peer, is_heard, key_of, shown
from tests.peers.pool import DHTNODE, KINDS, OPENDHT, SHOAL, PeerPool, connected, need
from tests.peers.waiting import until
from tests.peers.worker_peer import WorkerPeer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.peers.peer import Listening, Seen

_numbers = itertools.count()

# 5 bytes around the value inline, in one part, at the edges of parts, and the largest
LENGTHS = (1, 560, 600, 1240, 1280, 2520, 10_000, 65_536)


class Network:
    """Two nodes of each kind, all joined through one node."""

    def __init__(self, pool: PeerPool, way_in: str) -> None:
        self.way_in = pool.start(way_in, name=f"{way_in}-way-in")
        self.peers: dict[str, Peer] = {}
        self.others: dict[str, Peer] = {}
        for kind in KINDS:
            self.peers[kind] = pool.start(kind, bootstrap=self.way_in, has_identity=True)
            self.others[kind] = pool.start(kind, bootstrap=self.way_in)
        connected(self.way_in, *self.peers.values(), *self.others.values())
        for peer in (*self.peers.values(), *self.others.values()):
            # A peer whose first question got lost on a busy machine asks again after ten seconds.
            until(lambda peer=peer: knows_some(peer), f"{peer.process.name} knows some", 60.0)  # type: ignore[misc]


def knows_some(peer: Peer) -> bool:
    """Make a peer ask around; return whether it counts several good nodes then.

    Each time for another key: nodes don't ask again soon for one that they have just looked up.
    """
    peer.get(key_of(f"whatever {next(_numbers)}"))
    return peer.good_nodes() >= 4


class Networks:
    """The networks of this module, each built when the first test asks for it."""

    def __init__(self) -> None:
        self._built: dict[str, tuple[PeerPool, Network]] = {}

    def through(self, way_in: str) -> Network:
        """Return the network whose way in is of that kind."""
        need(*KINDS)
        if way_in not in self._built:
            pool = PeerPool()
            self._built[way_in] = pool, Network(pool, way_in)
        return self._built[way_in][1]

    def close(self) -> None:
        """Kill them all."""
        for pool, _ in self._built.values():
            pool.close()


@pytest.fixture(scope="module")
def networks() -> Iterator[Networks]:
    """All networks."""
    built = Networks()
    yield built
    built.close()


@pytest.fixture(params=KINDS)
def network(request: pytest.FixtureRequest, networks: Networks) -> Network:
    """A network, by the kind of its only way in."""
    return networks.through(request.param)


@pytest.fixture
def key() -> str:
    """A key that no other test uses."""
    return key_of(f"mixed {next(_numbers)}")


def exact_get(peer: Peer, key: str) -> list[Seen]:
    """Get with contents of any size and kind."""
    return peer.get_json(key) if isinstance(peer, DhtnodeProcess) else peer.get(key)


@pytest.mark.parametrize("putter", KINDS)
def test_values_of_all_sizes(network: Network, putter: str, key: str) -> None:
    """Each kind puts, every kind gets: 1 byte to 64 KiB."""
    contents = {length: os.urandom(length) for length in LENGTHS}
    for length, data in contents.items():
        done = network.peers[putter].put(key_of(f"{key}{length}"), data, value_id=5)
        assert done.ok, (length, done)
    for kind, peer in network.others.items():
        for length, data in contents.items():
            values = exact_get(peer, key_of(f"{key}{length}"))
            assert [value.data for value in values] == [data], (kind, length)


@pytest.mark.parametrize("putter", KINDS)
def test_text_and_user_type(network: Network, putter: str, key: str) -> None:
    """A value keeps its id and its user type."""
    done = network.peers[putter].put(key, b"hello", user_type="text/plain")
    assert done.ok
    for kind, peer in network.others.items():
        (value,) = peer.get(key)
        assert (value.data, value.user_type, value.id) == (b"hello", "text/plain", done.id), kind


@pytest.mark.parametrize("putter", KINDS)
def test_many_values_at_one_key(network: Network, putter: str, key: str) -> None:
    """Sixty values, fetched page by page or at once."""
    contents = [f"value-{number:02}".encode() for number in range(60)]
    for data in contents:
        assert network.peers[putter].put(key, data).ok
    for kind, peer in network.others.items():
        assert shown(peer.get(key)) == contents, kind


def test_all_kinds_at_one_key(network: Network, key: str) -> None:
    """The values of all kinds are merged."""
    for kind, peer in network.peers.items():
        assert peer.put(key, kind.encode()).ok
    for peer in network.others.values():
        assert shown(peer.get(key)) == sorted(kind.encode() for kind in KINDS)


def test_listening(network: Network, key: str) -> None:
    """Listeners of every kind hear what was there and what every kind adds."""
    assert network.way_in.put(key, b"before").ok
    listeners: dict[str, Listening] = {}
    for kind, peer in network.others.items():
        listeners[kind] = peer.listen(key)
    try:
        for kind, peer in network.peers.items():
            assert peer.put(key, f"by-{kind}".encode()).ok
        for kind, listening in listeners.items():
            for data in (b"before", *(f"by-{putter}".encode() for putter in KINDS)):
                until(is_heard(listening, data), f"{kind} hears {data!r}")
        for kind, listening in listeners.items():
            additions = [event.value.data for event in listening.heard() if not event.is_expired]
            assert len(additions) == len(set(additions)), f"{kind} hears things twice"
    finally:
        for listening in listeners.values():
            listening.cancel()


@pytest.mark.parametrize("signer", [OPENDHT, SHOAL])
def test_edits_are_heard(network: Network, signer: str, key: str) -> None:
    """A signed value put again under its id is an edit; its sequence number grows by itself."""
    peer = network.peers[signer]
    assert peer.put_signed(key, b"first", value_id=5).ok
    listeners = {kind: other.listen(key) for kind, other in network.others.items()}
    try:
        for kind, listening in listeners.items():
            until(is_heard(listening, b"first"), f"{kind} hears the first version")
        assert peer.put_signed(key, b"second", value_id=5).ok
        for kind, listening in listeners.items():
            until(is_heard(listening, b"second"), f"{kind} hears the edit")
    finally:
        for listening in listeners.values():
            listening.cancel()
    for kind, other in network.peers.items():  # 2.4.12 answers a get from what its listen heard
        assert [(value.data, value.seq) for value in other.get(key)] == [(b"second", 1)], kind


def test_expirations_are_heard(network: Network, key: str) -> None:
    """A value whose ten minutes are over in a moment: heard, then heard to end, then gone."""
    listeners = {kind: peer.listen(key) for kind, peer in network.others.items()}
    peer = network.peers[SHOAL]
    assert isinstance(peer, WorkerPeer)
    try:
        answer = peer.begin_put(key, b"brief", created=time.time() - 596).result(20.0)
        assert answer["done"]
        for kind, listening in listeners.items():
            until(is_heard(listening, b"brief"), f"{kind} hears it")
        for kind, listening in listeners.items():
            until(is_heard(listening, b"brief", expired=True), f"{kind} hears its end", 10.0)
    finally:
        for listening in listeners.values():
            listening.cancel()
    for kind, other in network.peers.items():  # whole seconds: some nodes end it a little later
        until(lambda other=other: other.get(key) == [], f"nothing for {kind}", 3.0)  # type: ignore[misc]


def test_cancelled_listen_is_silent(network: Network, key: str) -> None:
    """After a cancel nothing more is heard."""
    for kind, peer in network.others.items():
        quiet = peer.listen(key)
        quiet.cancel()
        loud = peer.listen(key)
        # a peer does one thing after the other: once this is heard, the cancel is done
        assert network.way_in.put(key, f"{kind}-1".encode()).ok
        until(is_heard(loud, f"{kind}-1".encode()), "the listen that goes on")
        before = len(quiet.heard())
        assert network.way_in.put(key, f"{kind}-2".encode()).ok
        until(is_heard(loud, f"{kind}-2".encode()), "the listen that goes on")
        assert len(quiet.heard()) == before
        loud.cancel()


@pytest.mark.parametrize("signer", KINDS)
def test_signed_values(network: Network, signer: str, key: str) -> None:
    """Each kind verifies what each kind signs."""
    peer = network.peers[signer]
    assert peer.put_signed(key, b"signed").ok
    for kind, other in network.others.items():
        (value,) = other.get(key)
        assert (value.data, value.seq) == (b"signed", 0), kind
        if value.owner is not None:
            assert value.owner == peer.key_id


@pytest.mark.parametrize(
    ("sender", "receiver"),
    [(SHOAL, DHTNODE), (DHTNODE, SHOAL), (SHOAL, OPENDHT), (OPENDHT, SHOAL)],
)
def test_encrypted_values(network: Network, sender: str, receiver: str, key: str) -> None:
    """The certificate is looked up, the value encrypted; the receiver alone reads it.

    2.4.12 and 4.4.2 do not find each other's certificates: the one publishes and looks only at the
    short key id, the other only at the long one. We publish at both and look at both.
    """
    to = network.peers[receiver]
    until(
        lambda: network.peers[sender].put_encrypted(key, b"secret", to).ok,
        f"{receiver}'s certificate is found by {sender}",
    )
    seen = {value.data for value in to.get(key) if not value.is_encrypted}
    assert seen == {b"secret"}
    for kind, other in network.others.items():
        assert b"secret" not in shown(other.get(key)), kind


def test_certificates_are_found(network: Network) -> None:
    """2.4.12 publishes under the short id, 4.4.2 under the long one, Shoal under both."""
    finder = network.others[SHOAL]
    assert isinstance(finder, WorkerPeer)
    shoal, wheel = network.peers[SHOAL], network.peers[OPENDHT]
    for name in (network.peers[DHTNODE].key_id, wheel.long_id, shoal.key_id, shoal.long_id):
        found = finder.ask("find_certificate", id=name)
        assert name in {found["key_id"], found["long_id"]}


def test_queries(network: Network, key: str) -> None:
    """Fields of values instead of values, asked by 2.4.12 and by us."""
    for kind, peer in network.peers.items():
        assert peer.put(key, kind.encode(), user_type="text/plain").ok
    asker, console = network.others[SHOAL], network.others[DHTNODE]
    assert isinstance(asker, WorkerPeer)
    assert isinstance(console, DhtnodeProcess)
    rows = asker.ask("query", key=key, text="SELECT id,user_type")["rows"]
    assert len(rows) == 3
    assert len({row["id"] for row in rows}) == 3
    assert {row["user_type"] for row in rows} == {"text/plain"}
    lines = console.query(key, "SELECT id,user_type")
    assert sum("text/plain" in line for line in lines) == 3


@pytest.mark.parametrize("putter", KINDS)
def test_permanent_values(networks: Networks, putter: str, key: str) -> None:
    """Found by all; cancelled, it is not announced to those who come later."""
    network = networks.through(SHOAL)
    peer = network.peers[putter]
    done = peer.put(key, b"lasting", permanent=True)
    assert done.ok
    for kind, other in network.others.items():
        assert shown(other.get(key)) == [b"lasting"], kind
    peer.cancel_put(key, done.id)
