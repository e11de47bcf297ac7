"""Records of contacts, and of requests that wait."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.identity.contact import Contact, StoredRequest
from shoal.identity.trust_request import PAYLOAD_SIZE_MAX
from tests.unit.identity.strategies import contacts, stored_requests


def test_active_or_banned() -> None:
    """A contact is active while it was added later than removed; a ban counts otherwise."""
    assert Contact(2, 1).is_active
    assert not Contact(1, 1).is_active
    assert Contact(1, 2, banned=True).is_banned
    assert not Contact(3, 2, banned=True).is_banned
    assert not Contact().is_active


@given(contacts)
def test_contacts_round_trip(contact: Contact) -> None:
    """In files, between devices, and in archives."""
    assert Contact.from_map(contact.to_map()) == contact
    assert Contact.from_map(contact.to_json()) == contact


@given(stored_requests)
def test_requests_round_trip(request: StoredRequest) -> None:
    """With the payload in files, without it between devices."""
    assert StoredRequest.from_map(request.to_map()) == request
    bare = StoredRequest.from_map(request.to_map(with_payload=False))
    assert bare.payload == b""
    assert (bare.spki, bare.received_ms) == (request.spki, request.received_ms)


def test_whole_seconds_are_written_as_13_7_does() -> None:
    """Five keys in its order; milliseconds only where they say more."""
    whole, precise = Contact(5000, 0), Contact(5001, 0)

    assert list(whole.to_map()) == ["added", "removed", "confirmed", "banned", "conversationId"]
    assert list(precise.to_map())[5:] == ["addedMs", "removedMs"]
    assert precise.to_map()["added"] == 5
    assert whole.to_json() == {"added": 5, "conversationId": ""}


def test_milliseconds_are_preferred() -> None:
    """And seconds taken where they are missing or unknown."""
    assert Contact.from_map({"added": 5, "addedMs": 5432}).added_ms == 5432
    assert Contact.from_map({"added": 5, "addedMs": 0}).added_ms == 5000
    assert Contact.from_map({"added": 2**63}).added_ms == 0
    assert StoredRequest.from_map({"received": 7}).received_ms == 7000


@pytest.mark.parametrize(
    "item",
    [
        [],
        {"added": "now"},
        {"confirmed": 1},
        {"banned": None},
        {"conversationId": "x"},
    ],
)
def test_what_is_no_contact(item: object) -> None:
    """Other types, and conversations that are none."""
    with pytest.raises(DecodeError):
        Contact.from_map(item)


@pytest.mark.parametrize(
    "item",
    [
        None,
        {"device": bytes(3000)},
        {"payload": bytes(PAYLOAD_SIZE_MAX + 1)},
        {"payload": 5},
        {"received": None},
    ],
)
def test_what_is_no_request(item: object) -> None:
    """Too large, or of another type."""
    with pytest.raises(DecodeError):
        StoredRequest.from_map(item)


@given(st.binary(max_size=100))
def test_any_map_gives_a_record_or_an_error(data: bytes) -> None:
    """Whatever msgpack can say."""
    try:
        item = msgpack.unpackb(data, strict_map_key=False)
    except Exception:  # noqa: BLE001 - not msgpack: the reader of files refuses that
        return
    for read in (Contact.from_map, StoredRequest.from_map):
        try:
            read(item)
        except DecodeError:
            continue


def test_secrets_of_a_request_are_not_shown() -> None:
    """Pictures and keys are long and nobody's business."""
    assert "picture" not in repr(StoredRequest(spki=b"picture", payload=b"picture"))
