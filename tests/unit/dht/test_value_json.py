"""The JSON form: there and back, from 2.4's, from odd JSON."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError, InfoHash
from shoal.crypto import PublicKey
from shoal.dht.value import Value
from shoal.dht.value_json import value_from_json, value_to_json
from tests.unit.dht import strategies, vectors

SIGNED = Value.unpack(bytes.fromhex(vectors.VALUES["A25"]["hex"]))
ENCRYPTED = Value.unpack(bytes.fromhex(vectors.VALUES["A26"]["hex"]))


@given(strategies.PLAIN | strategies.ENCRYPTED)
def test_values_survive(value: Value) -> None:
    """Through real JSON text; user types that are not UTF-8 cannot."""
    text = json.dumps(value_to_json(value))
    if not any("\ud800" <= sign <= "\udfff" for sign in value.user_type + value.push_type):
        assert value_from_json(json.loads(text)) == value


def test_signed_and_encrypted_values_survive() -> None:
    """Byte for byte, so their signatures do too."""
    to = Value(
        SIGNED.data,
        id=5,
        owner=SIGNED.owner,
        recipient=InfoHash.of(b"to"),
        signature=b"s",
        seq=4,
    )
    for value in (SIGNED, ENCRYPTED, to):
        assert value_from_json(json.loads(json.dumps(value_to_json(value)))) == value


def test_the_keys() -> None:
    """Only those that say something; an encrypted value has no body field."""
    assert value_to_json(Value(b"x", 3, 2**64 - 1)) == {
        "id": "18446744073709551615",
        "type": 3,
        "data": "eA==",
    }
    assert value_to_json(Value(cypher=b"x", id=1, priority=2, push_type="p")) == {
        "id": "1",
        "cypher": "eA==",
        "prio": 2,
        "pt": "p",
    }
    assert list(value_to_json(SIGNED)) == ["id", "sig", "seq", "owner", "type", "data", "utype"]
    assert SIGNED.owner is not None
    assert value_to_json(SIGNED)["owner"] == PublicKey.from_spki(SIGNED.owner).to_pem()
    unsigned = Value(b"x", owner=SIGNED.owner)
    assert "sig" not in value_to_json(unsigned)
    assert value_from_json(value_to_json(unsigned)) == unsigned


def test_bytes_that_are_not_text_show_as_replacement_signs() -> None:
    """JSON cannot carry them."""
    value = Value(user_type="a\udcff", push_type="\udcfe")
    assert (value_to_json(value)["utype"], value_to_json(value)["pt"]) == ("a\ufffd", "\ufffd")


def test_2_4_ends_the_owner_with_a_nul() -> None:
    """Strip it; Windows line ends do no harm either."""
    form = value_to_json(SIGNED)
    for owner in (f"{form['owner']}\0", str(form["owner"]).replace("\n", "\r\n")):
        assert value_from_json({**form, "owner": owner}) == SIGNED


def test_missing_and_null_fields_take_defaults() -> None:
    """The empty object is an empty value."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("id", "data", "type", "utype", "sig", "seq", "owner", "to", "prio", "pt", "cypher")
    )
    for form in ({}, nothing, {"id": "", "owner": "", "cypher": ""}, {"sig": "eA==", "seq": 4}):
        assert value_from_json(form) == Value()
    assert value_from_json({"id": 7}) == value_from_json({"id": "7"}) == Value(id=7)
    assert value_from_json({"data": b64encode(b"x" * 99).decode() + "\n"}).data == b"x" * 99


@pytest.mark.parametrize(
    "form",
    [
        None,
        [],
        "text",
        {"id": "x"},
        {"id": "-1"},
        {"id": 1.5},
        {"id": True},
        {"id": "18446744073709551616"},
        {"id": "²"},
        {"id": "1" * 5000},
        {"type": 65_536},
        {"type": "x"},
        {"prio": -1},
        {"data": 5},
        {"data": "not base64!"},
        {"data": "é"},
        {"data": "eA"},
        {"utype": 5},
        {"utype": "\ud800"},
        {"owner": "no key"},
        {"owner": value_to_json(SIGNED)["owner"], "to": "short"},
        {"owner": value_to_json(SIGNED)["owner"], "seq": 65_536},
    ],
    ids=lambda form: str(form)[-60:].encode("ascii", "replace").decode(),
)
def test_what_is_no_value(form: object) -> None:
    """The error names the field."""
    with pytest.raises(DecodeError) as caught:
        value_from_json(form)
    assert not isinstance(form, dict) or any(
        name in str(caught.value) for name in (*form, "InfoHash")
    )


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["id", "data", "type", "utype", "sig", "seq", "owner", "to", "prio", "pt"]),
        _JSON,
    )
)
def test_any_json_gives_a_value_or_a_decode_error(form: dict[str, object]) -> None:
    """Nothing else is raised."""
    try:
        value_from_json(form)
    except DecodeError:
        return
