"""Accounts for tests, each with an RSA key of its own, made once per process."""

from __future__ import annotations

import functools
from dataclasses import replace

from shoal.chain import ChainAddress
from shoal.core import AccountId
from shoal.crypto import PrivateKey
from shoal.names import NameRecord, sign_name

BITS = 2048  # the smallest that accounts may have


@functools.cache
def key_of(person: str) -> PrivateKey:
    """Return the account key of *person*."""
    return PrivateKey.generate(BITS)


def account_of(person: str) -> AccountId:
    """Return the account id of *person*."""
    return AccountId(key_of(person).public_key.id)


def owner_of(person: str) -> ChainAddress:
    """Return an address on the chain for *person*."""
    return ChainAddress(person.encode().rjust(20, b"\x01"))


@functools.cache
def record_of(person: str, name: str = "", owner: str = "") -> NameRecord:
    """Return the signed record by which *person* claims a name, their own unless told otherwise."""
    key = key_of(person)
    record = sign_name(name or person, key.public_key, key.sign)
    return record.with_owner(owner_of(owner or person))


def forged(record: NameRecord, **changes: object) -> NameRecord:
    """Return *record* with something else in it, and so without proof."""
    return replace(record, **changes)  # type: ignore[arg-type]
