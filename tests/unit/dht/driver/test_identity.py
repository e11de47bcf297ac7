"""`DhtNode` with identities: signed, edited, encrypted, certificates; and the proxy's raw view."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from shoal.core import InfoHash
from shoal.dht.contents import CERTIFICATE, CertificateValue
from shoal.dht.effects import ValuesFound
from shoal.dht.errors import CertificateNotFoundError, NoIdentityError
from shoal.dht.secure.suite import StandardSuite
from shoal.dht.value import Value
from tests.unit.dht.identities import identity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shoal.dht.driver import DhtNode

    OpenNode = Callable[..., Awaitable[DhtNode]]

ALICE, BOB = identity("alice"), identity("bob")


@pytest.fixture
async def both(open_node: OpenNode) -> tuple[DhtNode, DhtNode]:
    """Alice and Bob, each with a node of their own."""
    alice = await open_node(identity=ALICE)
    bob = await open_node(alice, identity=BOB)
    await alice.bootstrap([("127.0.0.1", bob.port)])
    await alice.wait_connected(10)
    await bob.wait_connected(10)
    return alice, bob


async def test_signed_values_are_verified_and_edited(both: tuple[DhtNode, DhtNode]) -> None:
    """The same id, put again, is a newer version."""
    alice, bob = both
    await alice.put_signed("page", Value(data=b"draft", id=4))
    await alice.put_signed("page", Value(data=b"final", id=4), confirm=True)

    (value,) = await bob.get("page")

    assert (value.data, value.seq, value.owner_id) == (b"final", 1, ALICE.id)


async def test_encrypted_values_are_for_one_reader(
    both: tuple[DhtNode, DhtNode], open_node: OpenNode
) -> None:
    """By the id of the reader's key, whose certificate is found in the network."""
    alice, bob = both
    stranger = await open_node(alice)
    await stranger.wait_connected(10)
    await alice.put_encrypted("letter", "for bob", BOB.long_id, timeout=20)

    (value,) = await bob.get("letter")
    assert (value.data, value.owner_id, value.recipient) == (b"for bob", ALICE.id, BOB.id)
    assert await stranger.get("letter") == []
    (raw,) = await stranger.get("letter", raw=True)
    assert raw.is_encrypted
    async for event in stranger.listen("letter", raw=True, timeout=20):
        assert event.value == raw  # type: ignore[union-attr]  # nothing lags here
        break


async def test_a_certificate_or_a_key_names_the_reader_too(both: tuple[DhtNode, DhtNode]) -> None:
    """Nothing needs to be looked up then."""
    alice, bob = both
    await alice.put_encrypted("1", "x", BOB.certificate)
    await alice.put_encrypted("2", "y", BOB.certificate.public_key.spki)
    assert [v.data for key in "12" for v in await bob.get(key)] == [b"x", b"y"]


async def test_certificates_are_found_by_both_ids(both: tuple[DhtNode, DhtNode]) -> None:
    """Published as soon as the node is connected."""
    alice, bob = both
    assert (await alice.find_certificate(BOB.long_id, timeout=20)).id == BOB.id
    assert (await bob.find_certificate(ALICE.id, timeout=20)).long_id == ALICE.long_id
    with pytest.raises(CertificateNotFoundError):
        await bob.find_certificate(InfoHash.of(b"nobody"), timeout=20)
    assert bob.stats().key_id == BOB.id


async def test_identities_share_a_node(
    pair: tuple[DhtNode, DhtNode],
) -> None:
    """A node without an identity signs, encrypts and decrypts for each one it is given."""
    left, right = pair
    first = await left.put_signed("from alice", "1", identity=ALICE)
    await left.put_signed("from bob", "2", identity=BOB)
    await left.put_encrypted("letters", "to bob", BOB.certificate, identity=ALICE)
    await left.put_encrypted("letters", "to alice", ALICE.certificate, identity=BOB)

    assert first.nodes == 1
    assert [v.owner_id for v in await right.get("from alice")] == [ALICE.id]
    assert [v.owner_id for v in await right.get("from bob")] == [BOB.id]
    assert [v.data for v in await right.get("letters", identity=BOB)] == [b"to bob"]
    assert [v.data for v in await right.get("letters", identity=ALICE)] == [b"to alice"]
    assert await right.get("letters") == []
    async for value in right.listen("letters", identity=ALICE, timeout=20).values():
        assert (value.data, value.owner_id) == (b"to alice", BOB.id)
        break


async def test_an_identity_that_is_given_goes_before_the_node_s(
    both: tuple[DhtNode, DhtNode],
) -> None:
    """The node's own is for those who name none."""
    alice, bob = both
    await alice.put_signed("whose", "bob's", identity=BOB)
    await alice.put_encrypted("mail", "bob to alice", ALICE.certificate, identity=BOB)

    assert [v.owner_id for v in await bob.get("whose")] == [BOB.id]
    assert [v.owner_id for v in await bob.get("mail", identity=ALICE)] == [BOB.id]
    assert await bob.get("mail") == []


async def test_without_any_identity_nothing_is_signed(pair: tuple[DhtNode, DhtNode]) -> None:
    """Neither the node's nor a given one."""
    with pytest.raises(NoIdentityError):
        await pair[0].put_signed("key", "value")


async def test_values_signed_elsewhere_stay_announced(pair: tuple[DhtNode, DhtNode]) -> None:
    """As an account's announcement, which its key signed once: it is put as it is, for good."""
    left, right = pair
    signed = StandardSuite().sign(ALICE, Value(data=b"announced"))

    result = await left.put("account", signed, permanent=True)

    (value,) = await right.get("account")
    assert (value.signature, value.owner_id) == (signed.signature, ALICE.id)
    assert value.id == result.value_id != 0


async def test_a_chain_is_published_under_both_ids(pair: tuple[DhtNode, DhtNode]) -> None:
    """Storing nodes take it at the short id and at the SHA-1 of the long one, nowhere else."""
    left, right = pair
    chain = CertificateValue(ALICE.certificate.to_pem().encode()).pack()
    for place in (ALICE.id, ALICE.long_id.infohash):
        await left.put(place, Value(chain, CERTIFICATE, 1), permanent=True, confirm=True)

    assert (await right.find_certificate(ALICE.id, timeout=20)).long_id == ALICE.long_id
    assert (await right.find_certificate(ALICE.long_id, timeout=20)).id == ALICE.id


async def test_engines_above_have_their_events_as_they_come(pair: tuple[DhtNode, DhtNode]) -> None:
    """A listen for somebody's letters, begun and cancelled by number."""
    left, right = pair
    heard: asyncio.Queue[object] = asyncio.Queue()
    key = InfoHash.of(b"engine")
    op = right.begin(
        heard.put_nowait, lambda engine, op, now: engine.listen(op, key, now, identity=BOB)
    )
    await left.put_encrypted(key, "hello", BOB.certificate, identity=ALICE)

    event = await asyncio.wait_for(heard.get(), 20)

    assert isinstance(event, ValuesFound)
    assert (event.op, [v.data for v in event.values]) == (op, [b"hello"])
    right.cancel(op)
    right.cancel(op)
    assert right.stats().operations == 0
