"""JSON of the proxy, held against what Debian's server and client write."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError, InfoHash
from shoal.dht.proxy import wire
from shoal.dht.proxy.push import Platform, PushTarget
from shoal.dht.proxy.wire import FamilyCounts, Line, NodeInfo, PutBody, Subscription
from shoal.dht.value import Value
from tests.unit.dht.strategies import ENCRYPTED, PLAIN

VECTORS = Path(__file__).parents[3] / "vectors" / "proxy" / "server-2.4.12.json"
NODE = InfoHash.from_hex("12f6e88d2b14a7a1d667e71a89d2b06cd3016347")
TARGET = PushTarget("token", "client", "session", Platform.ANDROID, "topic")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TARGETS = st.builds(PushTarget, TEXTS, TEXTS, TEXTS, st.sampled_from(Platform), TEXTS)


def recorded_lines() -> list[dict[str, Any]]:
    """Return every value that Debian's server wrote in the recorded answers."""
    return [
        json.loads(line)
        for entry in json.loads(VECTORS.read_text())
        for line in entry["answer"].split("\n")
        if line.startswith('{"data"')
    ]


def test_recorded_values_are_written_alike() -> None:
    """Each recorded line decodes and encodes to the same bytes."""
    lines = recorded_lines()
    assert len(lines) > 20
    for item in lines:
        line = wire.encode(item)
        decoded = wire.decode_line(line)
        assert decoded is not None
        assert wire.encode_value(decoded.value) == line


def test_recorded_info() -> None:
    """Node info of 2.4.12."""
    (entry, *_) = json.loads(VECTORS.read_text())
    body = entry["answer"].partition("\r\n\r\n")[2].encode()

    info = wire.decode_info(body)

    assert info == NodeInfo(
        NODE, FamilyCounts(good=1, incoming=1), operations=1, public_ip="::ffff:127.0.0.1"
    )


def test_info_of_ours() -> None:
    """Names of 4.x; nothing is said about what there isn't."""
    info = NodeInfo(
        NODE,
        FamilyCounts(8, 2, 1, 4),
        identity=NODE,
        operations=3,
        storage_values=5,
        storage_size=600,
        port4=4222,
        public_ip="192.0.2.1",
    )

    assert json.loads(wire.encode(info.to_json())) == {
        "id": str(NODE),
        "ipv4": {
            "dubious": 2,
            "good": 8,
            "incoming": 1,
            "network_size_estimation": 128,
            "table_depth": 4,
        },
        "ipv6": {"dubious": 0, "good": 0, "incoming": 0},
        "local_storage_size": 0,
        "local_storage_values": 0,
        "node_id": str(NODE),
        "ops": 3,
        "port_ipv4": 4222,
        "public_ip": "192.0.2.1",
        "storage_size": 600,
        "storage_values": 5,
    }
    decoded = wire.decode_info(wire.encode(info.to_json()))
    assert decoded == replace(info, ipv4=FamilyCounts(8, 2, 1), identity=None, port4=0)


@pytest.mark.parametrize("body", [b"{}", b'{"node_id":5}', b'{"node_id":"12"}', b"x"])
def test_info_without_id(body: bytes) -> None:
    """Info that names no node is none."""
    with pytest.raises(DecodeError):
        wire.decode_info(body)


@given(PLAIN | ENCRYPTED, st.booleans())
def test_lines_round_trip(value: Value, is_expired: bool) -> None:
    """A value comes back from its line; what isn't UTF-8 in its texts can't."""
    value = replace(
        value,
        user_type=value.user_type.encode("utf-8", "replace").decode(),
        push_type=value.push_type.encode("utf-8", "replace").decode(),
    )

    line = wire.encode_value(value, is_expired=is_expired)

    assert wire.decode_line(line) == Line(value, is_expired)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1


@pytest.mark.parametrize("line", [b"", b" \r", b"{}", b"{}\n"])
def test_lines_that_say_nothing(line: bytes) -> None:
    """Empty lines and heartbeats."""
    assert wire.decode_line(line) is None


def test_put_of_debians_client() -> None:
    """Bodies that dhtnode 2.4.12 sent."""
    value = Value(b"perm", user_type="text/plain")
    plain = b'{"data":"cGVybQ==","id":"0","permanent":true,"type":0,"utype":"text/plain"}'
    pushed = (
        b'{"data":"cGVybQ==","id":"0","permanent":{"client_id":"dhtnode","key":"DEVKEY",'
        b'"platform":"","session_id":"y^)<8$+j","topic":""},"type":0,"utype":"text/plain"}'
    )
    target = PushTarget("DEVKEY", "dhtnode", "y^)<8$+j")

    assert wire.decode_put(plain) == PutBody(value, is_permanent=True, target=PushTarget())
    assert wire.decode_put(pushed) == PutBody(value, is_permanent=True, target=target)
    assert wire.encode_put(value, permanent=True) == plain + b"\n"
    assert wire.encode_put(value, permanent=target) == pushed + b"\n"


@pytest.mark.parametrize(
    ("permanent", "is_permanent"),
    [("true", True), ("{}", True), ("1", True), ('"yes"', True), ("false", False), ("null", False)],
)
def test_permanent(permanent: str, *, is_permanent: bool) -> None:
    """Permanent is what says so."""
    body = f'{{"data":"cGVybQ==","permanent":{permanent}}}'.encode()

    assert wire.decode_put(body).is_permanent is is_permanent


def test_subscription_of_debians_client() -> None:
    """The body that dhtnode 2.4.12 sent, with the blank at its end."""
    body = (
        b'{"client_id":"dhtnode","key":"DEVKEY","platform":"","session_id":"y^)<8$+j","topic":""} '
    )
    target = PushTarget("DEVKEY", "dhtnode", "y^)<8$+j")

    assert wire.decode_subscription(body) == Subscription(target, is_refresh=False)
    assert wire.encode_subscription(target, is_refresh=False).strip() == body.strip()


def test_subscription_of_others() -> None:
    """Numbers are taken for texts, other things for nothing; half characters can't stay."""
    body = b'{"key":5,"client_id":["x"],"topic":"\\ud800","platform":"pigeon","refresh":1}'

    assert wire.decode_subscription(body) == Subscription(
        PushTarget("5", topic="?"), is_refresh=False
    )


@given(TARGETS, st.booleans())
def test_subscriptions_round_trip(target: PushTarget, is_refresh: bool) -> None:
    """A subscription comes back from its body."""
    body = wire.encode_subscription(target, is_refresh=is_refresh)

    assert wire.decode_subscription(body) == Subscription(target, is_refresh)


def test_encrypt() -> None:
    """`to` is the recipient of the operation, and no field of the value."""
    body = b'{"data":"cGVybQ==","to":"12f6e88d2b14a7a1d667e71a89d2b06cd3016347"}'

    assert wire.decode_encrypted_put(body) == (Value(b"perm"), NODE)
    assert wire.decode_encrypted_put(b'{"data":"cGVybQ=="}') == (Value(b"perm"), None)
    assert wire.decode_encrypted_put(b'{"to":"12f6"}') == (Value(), None)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"5", b'"x"', b"null", b"{nope", b'{"id":NaN}', b"[" * 100_000, b"\xff"]
)
def test_not_objects(text: bytes) -> None:
    """Neither JSON that isn't an object, nor nesting beyond reason, gets further."""
    with pytest.raises(DecodeError):
        wire.decode(text)


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes(body: bytes) -> None:
    """Any bytes are a message or a DecodeError."""
    for decode in (
        wire.decode_line,
        wire.decode_put,
        wire.decode_encrypted_put,
        wire.decode_subscription,
        wire.decode_info,
    ):
        try:
            decode(body)
        except DecodeError:
            continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=5,
)
FIELDS = ("id", "data", "type", "utype", "prio", "pt", "seq", "owner", "to", "sig", "cypher")
BODIES = st.dictionaries(
    st.sampled_from(
        (*FIELDS, "permanent", "key", "client_id", "session_id", "platform", "topic", "refresh")
    ),
    JSON | st.sampled_from(("aGVsbG8=", "5", "android", "00" * 20)),
)


@given(BODIES)
def test_almost_right(item: dict[str, Any]) -> None:
    """Bodies with the right names and odd contents are messages or DecodeErrors."""
    body = json.dumps(item).encode()
    for decode in (wire.decode_line, wire.decode_put, wire.decode_subscription):
        try:
            message = decode(body)
        except DecodeError:
            continue
        if isinstance(message, PutBody):
            assert message.value.packed()


def test_foreign_counts() -> None:
    """Counts that are none are 0."""
    info = wire.decode_info(
        b'{"node_id":"12f6e88d2b14a7a1d667e71a89d2b06cd3016347","ipv4":[],"ipv6":{"good":-1},'
        b'"ops":"many","public_ip":5}'
    )

    assert info == NodeInfo(NODE)
