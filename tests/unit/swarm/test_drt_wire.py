"""Messages of the DRT."""

from __future__ import annotations

from contextlib import suppress

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError, DeviceId
from shoal.swarm import drt_wire
from shoal.swarm.drt_wire import DrtMessage, DrtReader, Find, Found, encode

IDS = st.binary(min_size=32, max_size=32).map(DeviceId)
LISTS = st.lists(IDS, max_size=3).map(tuple)
MESSAGES = st.builds(
    DrtMessage,
    st.booleans(),
    st.none() | st.builds(Find, IDS, st.integers(0, 9)),
    st.none() | st.builds(Found, LISTS, LISTS),
)


@given(st.lists(MESSAGES, max_size=5), st.integers(1, 99))
def test_round_trip(messages: list[DrtMessage], size: int) -> None:
    """However the stream is cut, the messages are the same."""
    stream = b"".join(map(encode, messages))
    reader, found = DrtReader(), list[DrtMessage]()
    for start in range(0, len(stream), size):
        found += reader.feed(stream[start : start + size])

    assert found == messages


def test_the_fields_of_version_3() -> None:
    """All keys are there, as Jami's decoder expects; ids are binary."""
    node = DeviceId(bytes(32))
    packed = msgpack.unpackb(encode(DrtMessage(find=Find(node, 2), found=Found((node,)))))

    assert packed == {
        "v": 3,
        "is_mobile": False,
        "self_mobile_info": None,
        "request": {"q": 1, "num": 2, "nodeId": bytes(32)},
        "response": {"q": 2, "nodes": [bytes(32)], "mobile_nodes": [], "mobile_node_infos": []},
        "cert_request": None,
        "cert_response": None,
    }


def test_version_1() -> None:
    """What Jami wrote until July 2026 is read as well."""
    old = {"v": 1, "is_mobile": True, "request": None, "response": {"q": 2, "nodes": []}}
    assert list(DrtReader().feed(msgpack.packb(old))) == [
        DrtMessage(is_mobile=True, found=Found(()))
    ]


def test_unknown_questions_are_passed_over() -> None:
    """A kind of question that we do not know is none."""
    new = {"v": 9, "request": {"q": 7}}
    assert list(DrtReader().feed(msgpack.packb(new))) == [DrtMessage()]


@pytest.mark.parametrize(
    "message",
    [
        5,
        [],
        {"request": 5},
        {"response": 5},
        {"request": {"q": 1, "num": "x", "nodeId": bytes(32)}},
        {"request": {"q": 1, "num": 1, "nodeId": bytes(31)}},
        {"request": {"q": 1, "num": 1}},
        {"response": {"nodes": 5}},
        {"response": {"nodes": ["x" * 32]}},
        {"response": {"nodes": [bytes(32)] * (drt_wire.NODES_MAX + 1)}},
    ],
)
def test_nonsense(message: object) -> None:
    """Each is a DecodeError."""
    with pytest.raises(DecodeError):
        list(DrtReader().feed(msgpack.packb(message)))


def test_limits() -> None:
    """Neither endless messages nor endlessly many."""
    with pytest.raises(DecodeError):
        list(DrtReader().feed(b"\xc6\x7f\xff\xff\xff" + bytes(drt_wire.MESSAGE_SIZE_MAX)))
    many = encode(DrtMessage()) * (drt_wire.MESSAGES_PER_PACKET_MAX + 1)
    with pytest.raises(DecodeError):
        list(DrtReader().feed(many))


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes(pieces: list[bytes]) -> None:
    """Bytes are messages or a DecodeError."""
    reader = DrtReader()
    with suppress(DecodeError):
        for piece in pieces:
            list(reader.feed(piece))
