"""What two devices say while one is linked."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.identity.errors import InvalidLinkAddressError
from shoal.identity.wire.linking import FIELDS_MAX, LinkAddress, LinkDecoder, LinkMessage
from shoal.sim.entropy import SeededEntropy
from tests.unit.identity.samples import device_id
from tests.unit.identity.strategies import names

# Reference, appendix A.8.
FIRST = bytes.fromhex("82a8736368656d65496400a77061796c6f616480")
SCHEME = bytes.fromhex(
    "82a8736368656d65496400a77061796c6f616481aa61757468536368656d65a870617373776f7264"
)


def test_the_vectors() -> None:
    """Byte for byte."""
    assert LinkMessage().pack() == FIRST
    assert LinkMessage({"authScheme": "password"}).pack() == SCHEME
    assert LinkMessage.unpack(SCHEME).payload == {"authScheme": "password"}
    assert "password" not in repr(LinkMessage.unpack(SCHEME))


@given(st.lists(st.dictionaries(names, names, max_size=4), max_size=4), st.data())
def test_messages_survive_packets(payloads: list[dict[str, str]], data: st.DataObject) -> None:
    """However they are cut, or stuck together."""
    stream = b"".join(LinkMessage(payload).pack() for payload in payloads)
    cut = data.draw(st.integers(0, len(stream)))
    decoder = LinkDecoder()

    found = decoder.feed(stream[:cut]) + decoder.feed(stream[cut:])

    assert [message.payload for message in found] == payloads


def test_addresses_are_jamis() -> None:
    """64 hex digits and six others."""
    address = LinkAddress.draw(device_id(5), SeededEntropy(1))

    assert LinkAddress.parse(f" {address}\n") == address
    assert str(address) == f"jami-auth://{device_id(5)}/{address.code}"
    assert address.channel_name == f"auth:{address.code}"
    assert {
        100_000 <= LinkAddress.draw(device_id(5), SeededEntropy(n)).code <= 999_999
        for n in range(50)
    } == {True}


@pytest.mark.parametrize(
    "text",
    ["", "jami-auth://x/123456", f"jami-auth://{'a' * 64}/012345", f"jami:{'a' * 64}/123456"],
)
def test_what_is_no_address(text: str) -> None:
    """Cut off, or of another kind."""
    with pytest.raises(InvalidLinkAddressError):
        LinkAddress.parse(text)


@pytest.mark.parametrize(
    "item",
    [
        [],
        {},
        {"schemeId": 1, "payload": {}},
        {"schemeId": 0, "payload": []},
        {"schemeId": 0, "payload": {"a": 1}},
        {"schemeId": 0, "payload": {str(n): "" for n in range(FIELDS_MAX + 1)}},
    ],
)
def test_what_is_no_message(item: object) -> None:
    """Another scheme ends the session."""
    with pytest.raises(DecodeError):
        LinkDecoder().feed(msgpack.packb(item))


def test_a_giant_message_is_refused_at_its_header() -> None:
    """Before it has come."""
    with pytest.raises(DecodeError, match="more than"):
        LinkDecoder(1000).feed(b"\xdb\x7f\xff\xff\xff")


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_any_stream_gives_messages_or_an_error(chunks: list[bytes]) -> None:
    """The other device may be anything."""
    decoder = LinkDecoder(1000)
    try:
        for chunk in chunks:
            decoder.feed(chunk)
    except DecodeError:
        return
