"""The promises of an engine, kept by the secure layer on a real DHT engine."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from shoal.core import Address, Compute, Entropy, Family, InfoHash, SendDatagram
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.effects import (
    Done,
    PublicAddressChanged,
    ResolveHost,
    RowsFound,
    StatusChanged,
    ValuesExpired,
    ValuesFound,
)
from shoal.dht.engine import DhtEngine
from shoal.dht.query import Query
from shoal.dht.secure.effects import CertificateFound, IdentityAnnounced, OperationFailed
from shoal.dht.secure.engine import SecureEngine
from shoal.dht.types import TypeRegistry
from shoal.dht.value import Value
from tests import engine_laws
from tests.unit.dht.fake_suite import FakeSuite
from tests.unit.dht.identities import ec_identity, identity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Command: TypeAlias = "Callable[[Settled, int, Sequence[Address], float], list[object]]"
KEY = InfoHash.of(b"key")
SUITE = FakeSuite()
SPKI = identity("bob").certificate.public_key.spki
WALL_OFFSET = 1_700_000_000.0


class Failed(NamedTuple):
    """Why an operation fails, in a form that can be compared."""

    op: int
    kind: type


class Settled:
    """A secure engine whose computations are done at once."""

    def __init__(self, entropy: Entropy) -> None:
        types = TypeRegistry(verify=SUITE.verify)
        config = DhtConfig(families=(Family.IPV4,))
        self.dht = DhtEngine(config, entropy, 0.0, wall_offset=WALL_OFFSET, types=types)
        self.secure = SecureEngine(self.dht, entropy, identity=identity("bob"), suite=SUITE)

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[object]:
        """Take one datagram."""
        return self.settle(self.secure.receive(datagram, addr, now), now)

    def next_deadline(self) -> float | None:
        """When `advance` next has work."""
        return self.secure.next_deadline()

    def advance(self, now: float) -> list[object]:
        """Do what is due."""
        return self.settle(self.secure.advance(now), now)

    def settle(self, effects: Sequence[object], now: float) -> list[object]:
        """Do the computations among *effects*; return the others."""
        pending, out = deque(effects), list[object]()
        while pending:
            effect = pending.popleft()
            if isinstance(effect, Compute):
                pending.extendleft(reversed(self.secure.computed(effect.id, effect.job(), now)))
            elif isinstance(effect, ResolveHost):
                addrs = [Address.parse(effect.host, effect.port)]
                resolved = self.dht.resolved(effect.host, effect.port, addrs, now)
                pending.extendleft(reversed(self.secure.absorb(resolved, now)))
            elif isinstance(effect, OperationFailed):  # two errors are never equal
                out.append(Failed(effect.op, type(effect.error)))
            else:
                out.append(effect)
        return out

    def join(self, addrs: Sequence[Address], now: float) -> list[object]:
        """Know the first of all."""
        hosts = [(addrs[0].host, addrs[0].port)]
        return self.settle(self.secure.absorb(self.dht.bootstrap(hosts, now), now), now)


def _command(name: str, *arguments: object, **options: object) -> Command:
    def run(engine: Settled, op: int, addrs: Sequence[Address], now: float) -> list[object]:
        return engine.settle(getattr(engine.secure, name)(op, *arguments, now, **options), now)

    return run


def _sizes(engine: Settled) -> dict[str, tuple[int, int]]:
    secure = engine.secure
    return {
        "readings": (len(secure._readings), 64),  # noqa: SLF001 - sizes are not public
        "preparations": (len(secure._preparations.ops()), 64),  # noqa: SLF001
        "searches": (len(secure._searches.ops()), 64),  # noqa: SLF001
    }


def _unsuitable(engine: Settled, now: float) -> None:
    engine.secure.put_signed(1, KEY, Value(b"x"), now, identity=ec_identity())


def _no_recipient(engine: Settled, now: float) -> None:
    engine.secure.put_encrypted(1, KEY, Value(b"x"), b"no key", now)


def _too_large(engine: Settled, now: float) -> None:
    engine.secure.put(1, KEY, Value(b"x" * 65_537), now)


SIGNED = SUITE.sign(identity("alice"), Value(b"signed", id=1))
SEALED = SUITE.seal(identity("alice"), Value(b"sealed", id=2), SPKI)
FORGED = Value(b"forged", id=3, owner=SPKI, signature=b"no")
_values = st.lists(st.sampled_from([SIGNED, SEALED, FORGED, Value(b"plain", id=4)])).map(tuple)
_ids = st.binary(min_size=20, max_size=20).map(InfoHash)
_replies = st.builds(
    lambda tid, sender, values: wire.encode(
        wire.Reply(tid, sender, None, b"", b"", b"token", values, None, None)
    )[0],
    st.integers(0, 30),
    _ids,
    _values,
)

CASE = engine_laws.Case(
    make=Settled,
    commands=(
        _command("get", KEY),
        _command("query", KEY, Query()),
        _command("put", KEY, Value(b"plain", id=4)),
        _command("put_signed", KEY, Value(b"mine", id=5)),
        _command("put_signed", KEY, Value(b"fresh")),
        _command("put_encrypted", KEY, Value(b"secret"), SPKI),
        _command("put_encrypted", KEY, Value(b"secret"), identity("alice").id),
        _command("find_certificate", identity("alice").long_id),
        _command("find_certificate", identity("bob").long_id),
    ),
    lasting=(
        _command("listen", KEY),
        _command("listen", KEY, raw=True),
        _command("put_signed", KEY, Value(b"kept", id=6), permanent=True),
    ),
    datagrams=_replies,
    effects=(
        *(SendDatagram, ValuesFound, ValuesExpired, RowsFound, Done, StatusChanged),
        *(PublicAddressChanged, CertificateFound, Failed, IdentityAnnounced),
    ),
    sizes=_sizes,
    mistakes=(_unsuitable, _no_recipient, _too_large),
    ended=lambda effect: effect.op if isinstance(effect, Done) else None,
    patience=120.0,
    settings=settings(deadline=None, max_examples=15),
    start=Settled.join,
)


@pytest.mark.parametrize("law", engine_laws.LAWS, ids=lambda law: law.__name__)
def test_laws(law: engine_laws.Law[Settled]) -> None:
    """All of them, over three engines that talk to one another."""
    law(CASE)
