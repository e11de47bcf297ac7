"""`DhtNode` with identities: signed, edited, encrypted, certificates; and the proxy's raw view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shoal.core import InfoHash
from shoal.dht.errors import CertificateNotFoundError
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
