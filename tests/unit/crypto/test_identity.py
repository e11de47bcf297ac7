"""Identities: a key and its certificate."""

from __future__ import annotations

import pytest

from shoal.crypto.errors import (
    IdentityError,
    InvalidCertificateError,
    NotAnAuthorityError,
    PasswordError,
)
from shoal.crypto.identity import (
    Identity,
    generate_ec_identity,
    generate_identity,
    generate_node_identity,
    self_signed,
)
from shoal.crypto.issuing import Profile
from shoal.crypto.keys import KeyKind
from shoal.crypto.trust import NO_PROBLEM, TrustList
from tests.unit.crypto.samples import (
    DHTNODE,
    WALL,
    authority,
    entropy,
    other_rsa_key,
    rsa_key,
    under,
)


def test_node_identity_is_what_the_tools_make() -> None:
    """A P-384 authority above an RSA leaf, which bears its key id as UID."""
    identity = generate_node_identity("DHT Node", entropy=entropy(), wall_now=WALL, bits=2048)
    leaf, ca = identity.certificate.chain()

    assert (leaf.name, ca.name) == ("DHT Node", "DHT Node CA")
    assert (leaf.public_key.kind, leaf.public_key.bits) == (KeyKind.RSA, 2048)
    assert (ca.public_key.kind, ca.public_key.bits) == (KeyKind.EC, 384)
    assert leaf.uid == identity.id.hex()
    assert identity.long_id == leaf.long_id
    assert (leaf.is_ca, ca.is_ca) == (False, True)
    trusted = TrustList()
    trusted.add(ca)
    assert trusted.verify(leaf, WALL) == NO_PROBLEM


def test_identities_chain_as_accounts_do() -> None:
    """Authority, account that is one itself, device."""
    ca = generate_ec_identity("ca", entropy=entropy(1), wall_now=WALL)
    account = generate_identity(
        "account", ca, 1024, entropy=entropy(2), wall_now=WALL, profile=Profile.AUTHORITY
    )
    device = generate_identity("device", account, 1024, entropy=entropy(3), wall_now=WALL)

    assert [link.name for link in device.certificate.chain()] == ["device", "account", "ca"]
    assert [link.is_ca for link in device.certificate.chain()] == [False, True, True]
    with pytest.raises(NotAnAuthorityError):
        generate_ec_identity("below", device, entropy=entropy(), wall_now=WALL)


def test_self_signed_leaf_is_no_authority() -> None:
    """If asked for."""
    identity = self_signed(
        rsa_key(), "leaf", entropy=entropy(), wall_now=WALL, profile=Profile.LEAF
    )
    assert identity.certificate.issuer is None
    assert not identity.certificate.is_ca
    assert identity.certificate.is_signed_by(rsa_key().public_key)


def test_same_inputs_give_the_same_certificate() -> None:
    """With an RSA key, whose signatures are the same each time."""
    made = [self_signed(rsa_key(), "x", entropy=entropy(7), wall_now=WALL) for _ in range(2)]
    assert made[0].certificate == made[1].certificate


@pytest.mark.parametrize("name", ["plain", "secret"])
def test_dhtnode_identities_are_read(name: str) -> None:
    """From two files, and from one that holds both."""
    key = (DHTNODE / f"{name}.pem").read_bytes()
    chain = (DHTNODE / f"{name}.crt").read_bytes()
    identity = Identity.parse(key, chain, "secret")

    assert identity.certificate.issuer is not None
    assert Identity.parse(key + chain, None, "secret") == identity
    assert hash(Identity.parse(key + chain, None, "secret")) == hash(identity)
    assert identity.private_key.public_key == identity.certificate.public_key


def test_key_and_certificate_must_belong_together() -> None:
    """Files of two identities are an error, as are missing parts."""
    ours = under(authority(), "ours", key=rsa_key())
    with pytest.raises(IdentityError):
        Identity(other_rsa_key(), ours.certificate)
    with pytest.raises(InvalidCertificateError):
        Identity.parse(rsa_key().export().encode())
    with pytest.raises(PasswordError):
        Identity.parse(rsa_key().export("pass").encode(), ours.certificate.to_pem().encode())
