"""Notifications, held against what Debian's server sent to a gorush server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shoal.core import DecodeError, InfoHash
from shoal.crypto.errors import InvalidPushMessageError
from shoal.dht.proxy import push
from shoal.dht.proxy.push import Platform, PushTarget
from shoal.dht.value import Value

if TYPE_CHECKING:
    from shoal.dht.proxy.effects import SendPush

VECTORS = Path(__file__).parents[3] / "vectors" / "proxy" / "gorush-2.4.12.json"
KEY = InfoHash.from_hex("1123456789abcdef0123456789abcdef01234567")
ANDROID = PushTarget("tok-android", "c1", "s1", Platform.ANDROID)
IOS = PushTarget("tok-ios", "c1", "s1", Platform.IOS, "net.example")
UNIFIED = PushTarget("https://push.example/x", "c1", "s1", Platform.UNIFIED_PUSH)
FOUND = Value(b"hello", id=7)


def recorded(token: str, *, is_expiry: bool) -> dict[str, Any]:
    """Return the first recorded notification of that kind."""
    for request in json.loads(VECTORS.read_text()):
        (notification,) = json.loads(request.partition("\r\n\r\n")[2])["notifications"]
        if notification["tokens"] == [token] and ("exp" in notification["data"]) is is_expiry:
            assert isinstance(notification, dict)
            return notification
    raise AssertionError("not recorded")


def no_seal(point: bytes, secret: bytes, payload: bytes) -> bytes:
    """Refuse to encrypt."""
    raise AssertionError("nothing is to be encrypted")


def sent(order: SendPush) -> dict[str, Any]:
    """Return the notification in a request to gorush."""
    assert order.url is None
    assert order.headers == (("Content-Type", "application/json"),)
    (notification,) = json.loads(order.body)["notifications"]
    assert isinstance(notification, dict)
    return notification


@pytest.mark.parametrize("target", [ANDROID, IOS])
@pytest.mark.parametrize("is_expiry", [False, True])
def test_as_debians_server(target: PushTarget, *, is_expiry: bool) -> None:
    """All that 2.4.12 says is said; beyond it only what later versions and gateways want."""
    expected = recorded(target.token, is_expiry=is_expiry)
    wall_now = expected["data"]["t"] / 1000
    value = Value(b"hello", id=8) if is_expiry else FOUND
    payload = push.values_payload(KEY, target, [value], is_expired=is_expiry, wall_now=wall_now)
    is_high = push.is_urgent([value], is_expired=is_expiry)

    notification = sent(push.gorush_push(target, payload, is_high=is_high, wall_now=wall_now))

    extra = notification["data"].keys() - expected["data"].keys()
    assert extra == {"ids", "pt"}
    notification["data"] = {
        name: item for name, item in notification["data"].items() if name not in extra
    }
    assert abs(notification.pop("expiration", 0) - expected.pop("expiration", 0)) <= 1
    assert notification.pop("android", None) == (
        {"priority": expected["priority"], "ttl": "86400s"} if target is ANDROID else None
    )
    assert notification == expected


def test_values_payload() -> None:
    """Ids and push types in one order; `exp` only when a single value expired."""
    values = [Value(id=1, push_type="a"), Value(id=2), Value(id=3, push_type="c")]

    found = push.values_payload(KEY, ANDROID, values, is_expired=False, wall_now=12.5)
    gone = push.values_payload(KEY, ANDROID, values, is_expired=True, wall_now=12.5)
    one = push.values_payload(KEY, ANDROID, values[:1], is_expired=True, wall_now=12.5)

    assert found == gone
    assert found == {
        "ids": "1,2,3",
        "key": str(KEY),
        "pt": "a,,c",
        "s": "s1",
        "t": 12_500,
        "to": "c1",
    }
    assert one["exp"] == "1"


def test_renewal_and_pong() -> None:
    """A subscription is renewed by its key, a put by its id too."""
    assert push.renewal_payload(KEY, ANDROID, None) == {"s": "s1", "timeout": str(KEY), "to": "c1"}
    assert push.renewal_payload(KEY, ANDROID, 2**64 - 1)["vid"] == "18446744073709551615"
    assert push.pong_payload(ANDROID) == {"pong": True, "to": "c1"}


def test_renewal_wakes_ios_visibly() -> None:
    """Silent notifications may be held back for hours; a renewal can't wait."""
    payload = push.renewal_payload(KEY, IOS, None)

    notification = sent(push.gorush_push(IOS, payload, is_high=False, wall_now=0.0))

    assert notification["push_type"] == "alert"
    assert notification["priority"] == "high"


@pytest.mark.parametrize(
    ("priorities", "is_expired", "is_urgent"),
    [([0], False, True), ([5, 0], False, True), ([5], False, False), ([0], True, False)],
)
def test_urgency(priorities: list[int], *, is_expired: bool, is_urgent: bool) -> None:
    """One value of the highest priority is enough, unless it is gone."""
    values = [Value(id=i + 1, priority=priority) for i, priority in enumerate(priorities)]

    assert push.is_urgent(values, is_expired=is_expired) is is_urgent


def test_unified_push_in_clear() -> None:
    """Without a key the endpoint gets the data as JSON."""
    order = push.unified_push(UNIFIED, {"a": 1}, is_high=True, seal=no_seal)

    assert order.url == UNIFIED.token
    assert dict(order.headers) == {
        "Content-Type": "application/json",
        "TTL": "86400",
        "Urgency": "high",
    }
    assert order.body == b'{"a":1}'


@pytest.mark.parametrize("topic", ["BAECAw|_-8", "BAECAw==|/+8="])
def test_unified_push_sealed(topic: str) -> None:
    """With a key and a secret, in base64 of either alphabet, it gets ciphertext."""
    target = PushTarget("https://push.example/x", topic=topic, platform=Platform.UNIFIED_PUSH)
    seen: list[tuple[bytes, bytes, bytes]] = []

    def seal(point: bytes, secret: bytes, payload: bytes) -> bytes:
        seen.append((point, secret, payload))
        return b"sealed"

    order = push.unified_push(target, {"a": 1}, is_high=False, seal=seal)

    assert seen == [(b"\x04\x01\x02\x03", b"\xff\xef", b'{"a":1}')]
    assert order.body == b"sealed"
    assert ("Content-Encoding", "aes128gcm") in order.headers
    assert ("Urgency", "normal") in order.headers


@pytest.mark.parametrize("topic", ["!|!", "BAEC|AAAA"])
def test_damaged_keys_send_nothing(topic: str) -> None:
    """What was to be encrypted isn't sent in clear."""
    target = PushTarget("https://push.example/x", topic=topic, platform=Platform.UNIFIED_PUSH)

    def seal(point: bytes, secret: bytes, payload: bytes) -> bytes:
        raise InvalidPushMessageError("not a point")

    with pytest.raises(DecodeError):
        push.unified_push(target, {}, is_high=False, seal=seal)


def test_platforms() -> None:
    """Names and numbers; a name that isn't known is no platform."""
    assert [Platform.named(platform.text) for platform in Platform] == list(Platform)
    assert Platform.named("pigeon") is Platform.NONE
