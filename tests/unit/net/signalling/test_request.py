"""Offers and answers: the vector of Jami's, round trips, any bytes."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.net.signalling.request import REQUEST_ID_MAX, PeerRequest

MESSAGE = "2ed6de02\n6db9fb8e5603c24355a23181\nHa4e0002 1 TCP 2130706431 10.78.0.2 44401 typ host\n"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
REQUESTS = st.builds(PeerRequest, st.integers(1, REQUEST_ID_MAX), TEXTS, st.booleans(), TEXTS)


def test_the_bytes_are_those_of_jami() -> None:
    """Reference A.4: keys in this order, and their types."""
    request = PeerRequest(0x15BDDC6A6FD4BA, MESSAGE, is_answer=False, connection_type="text/plain")
    packed = (
        bytes.fromhex("84a26964cf0015bddc6a6fd4baa76963655f6d7367")
        + b"\xd9"
        + bytes([len(MESSAGE)])
        + MESSAGE.encode()
        + bytes.fromhex("a86973416e73776572c2a8636f6e6e54797065aa746578742f706c61696e")
    )
    assert request.packed() == packed
    assert PeerRequest.unpack(packed) == request


@given(REQUESTS)
def test_requests_come_back(request: PeerRequest) -> None:
    """What is written is read."""
    assert PeerRequest.unpack(request.packed()) == request


@given(st.binary(max_size=300))
def test_any_bytes_give_a_request_or_decode_error(data: bytes) -> None:
    """No other error, ever."""
    with contextlib.suppress(DecodeError):
        PeerRequest.unpack(data)


@pytest.mark.parametrize(
    "change",
    [
        {"id": 0},
        {"id": REQUEST_ID_MAX + 1},
        {"id": True},
        {"id": "7"},
        {"ice_msg": b"bytes"},
        {"ice_msg": "x" * 8193},
        {"isAnswer": 1},
        {"connType": "x" * 257},
        {"connType": None},
    ],
)
def test_what_is_no_request(change: dict[str, object]) -> None:
    """Each field is looked at."""
    fields = {"id": 1, "ice_msg": "m", "isAnswer": False, "connType": ""} | change
    with pytest.raises(DecodeError):
        PeerRequest.unpack(msgpack.packb(fields))


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x90", msgpack.packb({"id": 1}), bytes(16_385), b"\x81" * 2000]
)
def test_what_is_no_map(data: bytes) -> None:
    """Nor too large, nor deep."""
    with pytest.raises(DecodeError):
        PeerRequest.unpack(data)


def test_unknown_keys_pass_and_the_type_may_be_missing() -> None:
    """A later version may say more."""
    data = msgpack.packb({"new": [1], "isAnswer": True, "id": 5, "ice_msg": "m"})
    assert PeerRequest.unpack(data) == PeerRequest(5, "m", is_answer=True)
