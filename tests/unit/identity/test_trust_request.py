"""Contact requests on the wire."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.identity.trust_request import (
    PAYLOAD_SIZE_MAX,
    TIME_MS_MAX,
    TrustRequest,
    read_time_ms,
)
from tests.unit.identity.samples import CONVERSATIONS

# Sent by jamid 13.7; reference, appendix A.4.
SAMPLE = bytes.fromhex(
    "84a773657276696365a763782e72696e67ae636f6e766572736174696f6e4964d92861323132646566386633"
    "303736663066313934656131663166373962626364373935346436363436a77061796c6f6164c42742454749"
    "4e3a56434152440a56455253494f4e3a322e310a464e3a6d650a454e443a5643415244a7636f6e6669726dc2"
)

requests = st.builds(
    TrustRequest,
    st.sampled_from(("", *CONVERSATIONS)),
    st.binary(max_size=200),
    st.booleans(),
    st.integers(0, TIME_MS_MAX),
)


def test_what_jami_sent_is_read_and_written() -> None:
    """Byte for byte."""
    request = TrustRequest.unpack(SAMPLE)

    assert request.conversation_id == "a212def8f3076f0f194ea1f1f79bbcd7954d6646"
    assert request.payload == b"BEGIN:VCARD\nVERSION:2.1\nFN:me\nEND:VCARD"
    assert not request.confirm
    assert request.invited_ms == 0
    assert request.pack() == SAMPLE


@given(requests)
def test_requests_round_trip(request: TrustRequest) -> None:
    """With or without the time that Jami added in 2026."""
    assert TrustRequest.unpack(request.pack()) == request


@pytest.mark.parametrize(
    "change",
    [
        {"service": "other"},
        {"service": 7},
        {"payload": bytes(PAYLOAD_SIZE_MAX + 1)},
        {"confirm": 1},
        {"conversationId": "short"},
        {"conversationId": "Z" * 40},
        {"invitedMs": "soon"},
    ],
)
def test_what_is_no_request(change: dict[str, object]) -> None:
    """Other services, other types, too much."""
    with pytest.raises(DecodeError):
        TrustRequest.unpack(msgpack.packb({"service": "cx.ring", **change}))


def test_a_list_is_no_request() -> None:
    """Nor is anything else that is not a map."""
    with pytest.raises(DecodeError):
        TrustRequest.unpack(b"\x90")


@pytest.mark.parametrize("wrapped", [-1, 2**64 - 5, TIME_MS_MAX + 1])
def test_impossible_times_are_unknown(wrapped: int) -> None:
    """13.7 writes negative ones as huge ones."""
    assert read_time_ms(wrapped) == 0


@given(st.binary(max_size=200))
def test_any_bytes_give_a_request_or_an_error(data: bytes) -> None:
    """Anybody may write into an inbox."""
    try:
        TrustRequest.unpack(data)
    except DecodeError:
        return
