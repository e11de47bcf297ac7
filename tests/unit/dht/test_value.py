"""Values: canonical bytes, tolerant reading, sizes, equality."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError, InfoHash
from shoal.core.ids import ZERO_HASH
from shoal.crypto import PrivateKey, PublicKey
from shoal.dht.packing import unpack
from shoal.dht.types import verify_value
from shoal.dht.value import Value
from tests.unit.dht import strategies, vectors

SIGNED = bytes.fromhex(vectors.VALUES["A25"]["hex"])
ENCRYPTED = bytes.fromhex(vectors.VALUES["A26"]["hex"])
KEY = InfoHash.of(b"somebody")


def vector_key() -> PrivateKey:
    """Return the RSA key of vector A24."""
    vector = vectors.VALUES["A24"]
    p, q, e = int(vector["p"], 16), int(vector["q"], 16), vector["e"]
    d = rsa.rsa_recover_private_exponent(e, p, q)
    numbers = rsa.RSAPrivateNumbers(
        p,
        q,
        d,
        rsa.rsa_crt_dmp1(d, p),
        rsa.rsa_crt_dmq1(d, q),
        rsa.rsa_crt_iqmp(p, q),
        rsa.RSAPublicNumbers(e, p * q),
    )
    der = numbers.private_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return PrivateKey.load(der)


def test_the_signed_vector_reads_re_encodes_and_verifies() -> None:
    """A25: what 2.4.12 signed holds, and the bytes it signed are `body()`."""
    vector = vectors.VALUES["A25"]
    value = Value.unpack(SIGNED)

    assert value.packed() == SIGNED
    assert (value.id, value.seq, value.type, value.user_type) == (
        vector["fields"]["id"],
        0,
        0,
        "text/plain",
    )
    assert value.data == b"hello"
    assert value.is_signed
    assert not value.is_encrypted
    assert str(value.owner_id) == vectors.VALUES["A24"]["id"]
    assert value.signature is not None
    assert value.signature.startswith(bytes.fromhex(vector["signature_head"]))
    assert value.body().startswith(bytes.fromhex(vector["body_head"]))
    assert value.body().endswith(bytes.fromhex(vector["body_tail"]))
    assert verify_value(value)
    # RSA signatures are deterministic: we sign the same content with the same bytes.
    assert vector_key().sign(value.body()) == value.signature


def test_the_encrypted_vector_reads_re_encodes_and_opens() -> None:
    """A26: the plaintext is a signed body to the key itself."""
    vector = vectors.VALUES["A26"]
    outer = Value.unpack(ENCRYPTED)
    assert outer.packed() == ENCRYPTED
    assert outer.is_encrypted
    assert not outer.is_signed
    assert (outer.owner_id, outer.type, outer.size) == (None, 0, len(outer.cypher or b""))
    assert outer.id == vector["id"]
    assert outer.cypher is not None

    plaintext = vector_key().decrypt(outer.cypher)
    inner = Value.from_content(outer.id, unpack(plaintext))

    assert inner.content() == plaintext
    assert str(inner.recipient) == vector["recipient"]
    assert (inner.data, inner.user_type, inner.seq) == (b"hello", "text/plain", 0)
    assert inner.signature is not None
    assert inner.signature.startswith(bytes.fromhex(vector["signature_head"]))
    assert verify_value(inner)


def test_the_ids_of_the_vector_key() -> None:
    """A24 and A23: hashes of keys and texts."""
    vector = vectors.VALUES["A24"]
    owner = Value.unpack(SIGNED).owner
    assert owner is not None
    key = PublicKey.from_spki(owner)
    assert (str(key.id), str(key.long_id)) == (vector["id"], vector["long_id"])
    assert str(key.long_id.infohash) == vector["infohash"]
    hashes = vectors.VALUES["A23"]
    assert str(InfoHash.from_text("keyA")) == hashes["keyA"]
    assert str(InfoHash.of(b"\0")) == hashes["zero_byte"]


@given(strategies.VALUES)
def test_every_value_survives_the_wire(value: Value) -> None:
    """And its bytes are what a general packer makes of the same map."""
    packed = value.packed()
    assert Value.unpack(packed) == value
    assert value.packed() == packed
    general = msgpack.unpackb(packed, unicode_errors="surrogateescape")
    assert msgpack.packb(general, unicode_errors="surrogateescape") == packed


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_decode_error(data: bytes) -> None:
    """Nothing else is raised."""
    try:
        value = Value.unpack(data)
    except DecodeError:
        return
    assert Value.unpack(value.packed()) == value


BODY: dict[str, Any] = {"type": 3, "data": b"x"}
OWNED = {**BODY, "owner": b"key", "seq": 1}


NO_VALUES: list[Any] = [
    None,
    [],
    {},
    {"id": 1},
    {"dat": b"x"},
    {"id": -1, "dat": b"x"},
    {"id": "1", "dat": b"x"},
    {"id": True, "dat": b"x"},
    {"id": 1, "dat": "x"},
    {"id": 1, "dat": {}},
    {"id": 1, "dat": {"body": b"x"}},
    {"id": 1, "dat": {"body": {"type": 3}}},
    {"id": 1, "dat": {"body": {"data": b"x"}}},
    {"id": 1, "dat": {"body": {**BODY, "type": 65_536}}},
    {"id": 1, "dat": {"body": {**BODY, "data": 7}}},
    {"id": 1, "dat": {"body": {**BODY, "utype": 7}}},
    {"id": 1, "dat": {"body": {**OWNED}}},
    {"id": 1, "dat": {"body": {**BODY, "owner": b"key"}, "sig": b"s"}},
    {"id": 1, "dat": {"body": {**OWNED, "owner": b""}, "sig": b"s"}},
    {"id": 1, "dat": {"body": {**OWNED, "seq": 65_536}, "sig": b"s"}},
    {"id": 1, "dat": {"body": {**OWNED, "to": b"short"}, "sig": b"s"}},
    {"id": 1, "dat": {"body": OWNED, "sig": None}},
    {"id": 1, "dat": b"x", "p": -1},
    {"id": 1, "dat": b"x", "pt": 5},
]


@pytest.mark.parametrize("item", NO_VALUES, ids=str)
def test_what_is_no_value(item: object) -> None:
    """Required fields are there and have their types."""
    with pytest.raises(DecodeError):
        Value.from_object(item)


def test_a_signature_without_owner_is_ignored() -> None:
    """So is a recipient or a sequence number; an empty signature signs nothing."""
    body = {**BODY, "seq": 5, "to": bytes(KEY)}
    assert Value.from_object({"id": 1, "dat": {"body": body, "sig": b"s"}}) == Value(b"x", 3, 1)
    unsigned = Value.from_object({"id": 1, "dat": {"body": OWNED, "sig": b""}})
    assert not unsigned.is_signed
    assert b"sig" not in unsigned.packed()


def test_a_zero_recipient_is_none() -> None:
    """Writers leave it out, so the signed bytes lack it."""
    body = {**OWNED, "to": bytes(ZERO_HASH)}
    assert Value.from_object({"id": 1, "dat": {"body": body, "sig": b"s"}}).recipient is None


def test_empty_ciphertext_is_an_empty_plain_value() -> None:
    """As OpenDHT reads it."""
    assert Value.from_object({"id": 1, "dat": b""}) == Value(id=1)


def test_priority_and_push_type_travel_outside_the_body() -> None:
    """`p` and `pt`, each only if set."""
    value = Value(b"x", id=1, priority=2, push_type="alert")
    assert value.packed().endswith(b"\xa1p\x02\xa2pt\xa5alert")
    assert value.body() == Value(b"x").body()
    assert Value(cypher=b"c", id=1, priority=2).packed().endswith(b"\xc4\x01c\xa1p\x02")


def test_the_empty_body() -> None:
    """Type 0 and empty data are written out: they are part of what is signed."""
    assert Value().body() == b"\x82\xa4type\x00\xa4data\xc4\x00"


def test_size_counts_content_signature_and_texts() -> None:
    """Texts in bytes."""
    value = Value(b"123", user_type="é", owner=b"not counted", signature=b"45", push_type="p")
    assert value.size == 3 + 2 + 2 + 1
    assert Value(cypher=b"1234").size == 4


def test_large_values_are_packed_anew() -> None:
    """Small ones are remembered, large ones would be held twice."""
    small, large = Value(b"x", id=1), Value(b"x" * 5000, id=1)
    assert small.packed() is small.packed()
    assert large.packed() is not large.packed()
    assert large.packed() == large.packed()


def test_equal_content() -> None:
    """Neither seq, recipient, priority nor push type count; ciphertext alone does."""
    value = Value(b"x", 3, 1, "t", b"owner", KEY, 1, b"sig", None, 1, "p")
    assert value.content_equals(Value(b"x", 3, 2, "t", b"owner", None, 9, b"sig"))
    assert not value.content_equals(Value(b"y", 3, 1, "t", b"owner", KEY, 1, b"sig"))
    assert not value.content_equals(Value(b"x", 4, 1, "t", b"owner", KEY, 1, b"sig"))
    assert not value.content_equals(Value(b"x", 3, 1, "u", b"owner", KEY, 1, b"sig"))
    assert not value.content_equals(Value(b"x", 3, 1, "t", None, None, 0, None))
    assert not value.content_equals(Value(b"x", 3, 1, "t", b"owner", KEY, 1, b"gis"))
    assert Value(cypher=b"c", priority=1).content_equals(Value(cypher=b"c"))
    assert not Value(cypher=b"c").content_equals(Value())
    assert not Value().content_equals(Value(cypher=b"c"))
