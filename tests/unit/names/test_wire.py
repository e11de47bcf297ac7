"""JamiNS's bodies, both directions."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.names.errors import WrongKeyError
from shoal.names.record import NameRecord, read_key
from shoal.names.wire import (
    BODY_SIZE_MAX,
    decode_id,
    decode_record,
    decode_registration,
    decode_reverse,
    encode_key,
    encode_record,
    encode_registration,
    encode_reverse,
)
from tests.unit.names.people import account_of, forged, key_of, record_of

VECTORS = Path(__file__).parents[2] / "vectors" / "names" / "jami.json"


def test_a_registration_is_jamis() -> None:
    """Four fields in this order, ids without 0x, key as PEM in base64."""
    record = record_of("alice")
    body = encode_registration(record)
    pem = key_of("alice").public_key.to_pem().encode()

    assert list(json.loads(body)) == ["addr", "owner", "signature", "publickey"]
    assert json.loads(body) == {
        "addr": str(record.account),
        "owner": record.owner.hex() if record.owner else "",
        "signature": base64.b64encode(record.signature).decode(),
        "publickey": base64.b64encode(pem).decode(),
    }
    read = decode_registration(body)
    assert (read.account, read.owner) == (record.account, record.owner)
    assert (read.public_key, read.signature) == (pem, record.signature)
    with pytest.raises(DecodeError, match="owner"):
        encode_registration(record.with_owner(None))


def test_a_registration_of_13_7() -> None:
    """A NUL ends its PEM; servers and newer clients write 0x."""
    record = record_of("alice")
    fields = json.loads(encode_registration(record))
    fields["publickey"] = base64.b64encode(base64.b64decode(fields["publickey"]) + b"\0").decode()
    fields["addr"], fields["owner"] = "0x" + fields["addr"].upper(), "0X" + fields["owner"]

    read = decode_registration(json.dumps(fields).encode())

    assert read.public_key.endswith(b"\0")
    assert (read.account, read.owner) == (record.account, record.owner)


@pytest.mark.parametrize("version", ["13.7", "2026"])
def test_what_jami_sends(version: str) -> None:
    """Both generations, recorded: each body proves itself; ours is that of 2026 byte for byte."""
    *_, asked = json.loads(VECTORS.read_text())[version]
    head, _, body = asked.partition("\r\n\r\n")
    name = head.split()[1].removeprefix("/name/")
    read = decode_registration(body.encode())
    key = read_key(read.public_key)
    record = NameRecord(name, read.account, key.spki, read.signature, read.owner)

    record.check()
    assert key.bits == 4096
    assert read.public_key.endswith(b"\0") == (version == "13.7")
    assert (encode_registration(record) == body.encode()) == (version == "2026")


@pytest.mark.parametrize(
    "change",
    [
        {"addr": None},
        {"addr": 5},
        {"addr": "0x"},
        {"addr": "ab" * 19},
        {"addr": "zz" * 20},
        {"addr": "\u0661" * 40},
        {"addr": "0" * 40},
        {"owner": "0" * 40},
        {"owner": ["ab" * 20]},
        {"signature": ""},
        {"signature": "not base64!"},
        {"signature": "A" * 4000},
        {"publickey": "\N{SNOWMAN}"},
        {"publickey": "A" * 12000},
    ],
)
def test_malformed_registrations(change: dict[str, object]) -> None:
    """Each is refused with words that name the field."""
    fields = json.loads(encode_registration(record_of("alice"))) | change

    with pytest.raises(DecodeError, match=next(iter(change)) + "|zero"):
        decode_registration(json.dumps(fields).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 5000, b"{" * 9, b"NaN"])
def test_what_is_no_object(body: bytes) -> None:
    """JSON of another kind, or none."""
    with pytest.raises(DecodeError):
        decode_registration(body)


def test_bodies_are_bounded() -> None:
    """However well formed."""
    fields = json.loads(encode_registration(record_of("alice")))
    fields["more"] = "x" * BODY_SIZE_MAX

    with pytest.raises(DecodeError, match="at most"):
        decode_registration(json.dumps(fields).encode())


def test_records_go_both_ways() -> None:
    """With 0x before the id, as ns.jami.net writes it."""
    record = record_of("alice").with_owner(None)
    body = encode_record(record)

    assert json.loads(body)["addr"] == f"0x{record.account}"
    assert decode_record(body) == record
    unsigned = forged(record, public_key=b"", signature=b"")
    assert set(json.loads(encode_record(unsigned))) == {"name", "addr"}
    assert decode_record(encode_record(unsigned)) == unsigned
    assert decode_record(b'{"name": "alice", "addr": ""}') is None
    with pytest.raises(WrongKeyError):
        decode_record(
            encode_record(record).replace(encode_key(record.public_key).encode(), b"aaaa")
        )


def test_reverse_answers_go_both_ways() -> None:
    """An empty name is none."""
    assert decode_reverse(encode_reverse("alice")) == "alice"
    assert decode_reverse(b'{"name": ""}') is None
    assert decode_reverse(b"{}") is None
    with pytest.raises(DecodeError):
        decode_reverse(b'{"name": 7}')


def test_ids_in_urls() -> None:
    """With or without 0x, in any case."""
    account = account_of("alice")

    for text in (str(account), f"0x{account}", f"0X{str(account).upper()}"):
        assert decode_id(text) == account
    for text in ("", "0x", str(account)[1:], f"{account}0", f"0x0x{account}"[:40]):
        with pytest.raises(DecodeError):
            decode_id(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
ALMOST = st.dictionaries(
    st.sampled_from(["addr", "owner", "signature", "publickey", "name", "x"]),
    JSON | st.from_regex("^(0x)?[0-9a-f]{40}$") | st.sampled_from(["aaaa", "alice"]),
).map(lambda fields: json.dumps(fields).encode())


@given(st.binary(max_size=200) | ALMOST)
def test_any_bytes_decode_or_not(body: bytes) -> None:
    """A message, or DecodeError, or a key that is none; nothing else."""
    for decode in (decode_registration, decode_record, decode_reverse):
        try:
            decode(body)
        except (DecodeError, WrongKeyError):
            continue
