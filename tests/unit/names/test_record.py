"""What a record proves."""

from __future__ import annotations

import pytest

from shoal.core import AccountId, DecodeError
from shoal.crypto import PrivateKey
from shoal.names import sign_name
from shoal.names.errors import InvalidNameError, WrongKeyError, WrongSignatureError
from shoal.names.record import is_valid, read_key
from tests.unit.names.people import account_of, forged, key_of, owner_of, record_of


def test_a_signed_record_proves_itself() -> None:
    """The account's key signed the lower-case name; the owner is no part of it."""
    key = key_of("alice")
    record = sign_name("Alice", key.public_key, key.sign)

    record.check()
    assert record.name == "alice"
    assert record.account == account_of("alice")
    assert record.signature == key.sign(b"alice")
    assert record.owner is None
    assert record.is_signed
    assert is_valid(record)
    assert is_valid(record.with_owner(owner_of("bob")))


def test_what_proves_nothing() -> None:
    """A key of another account, a signature of another name, or none at all."""
    alice, bob = record_of("alice"), record_of("bob")

    for record, error in (
        (forged(alice, account=bob.account), WrongKeyError),
        (forged(alice, public_key=bob.public_key), WrongKeyError),
        (forged(alice, public_key=b"no key"), WrongKeyError),
        (forged(alice, public_key=b""), WrongKeyError),
        (forged(alice, name="alicia"), WrongSignatureError),
        (forged(alice, signature=bob.signature), WrongSignatureError),
        (forged(alice, signature=b""), WrongSignatureError),
    ):
        with pytest.raises(error):
            record.check()
        assert not is_valid(record)
    assert not is_valid(forged(alice, name="Alice"))
    assert not is_valid(forged(alice, name="a"))


def test_weak_and_other_keys_are_none() -> None:
    """Accounts have RSA keys of 2,048 bits and more."""
    for key in (PrivateKey.generate(1024), PrivateKey.generate_ec()):
        with pytest.raises(WrongKeyError):
            read_key(key.public_key.spki)


def test_keys_come_in_der_and_pem() -> None:
    """Jami sends PEM, 13.7 with the NUL that ends its string."""
    key = key_of("alice").public_key

    for data in (key.spki, key.to_pem().encode(), key.to_pem().encode() + b"\0"):
        assert read_key(data) == key


def test_signing_is_checked() -> None:
    """Who signs with another key than they say learns at once, and not from a server."""
    with pytest.raises(WrongSignatureError):
        sign_name("alice", key_of("alice").public_key, key_of("bob").sign)
    with pytest.raises(InvalidNameError):
        sign_name("al", key_of("alice").public_key, key_of("alice").sign)


def test_ids_have_a_length() -> None:
    """There is no record of half an id."""
    with pytest.raises(DecodeError):
        AccountId(b"short")
