"""Push notifications: what they say, and the HTTP request that delivers one.

| kind | data of the notification |
| --- | --- |
| values | `key to s t ids pt`, and `exp` if one value expired |
| renewal | `timeout to s`, and `vid` for a permanent put |
| answer to pingPush | `to pong` |

`to` is the client id, `s` its session, `t` milliseconds since 1970, `ids` and `pt` (push types) are
joined by commas. Android and iOS are reached through a gorush server, which takes
`POST /api/push {"notifications":[{tokens platform data …}]}`; UnifiedPush endpoints take the data
itself, encrypted for those that registered a key (RFC 8291).

Source: OpenDHT dht_proxy_server.cpp, handlePushListen and sendPushNotification.
"""

from __future__ import annotations

import base64
import binascii
import enum
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import DecodeError, InfoHash, ShoalError
from shoal.core.records import dataclass
from shoal.dht.proxy.effects import SendPush

if TYPE_CHECKING:
    from shoal.dht.value import Value

LIFE: Final = 86_400  # seconds a notification may wait; OpenDHT dht_proxy_server.cpp
_LOWEST_PRIORITY: Final = 1000  # OpenDHT dht_proxy_server.cpp, handlePushListen

Payload: TypeAlias = Mapping[str, object]
Seal: TypeAlias = Callable[[bytes, bytes, bytes], bytes]
"""RFC 8291: (subscriber's public key, authentication secret, plain text) to ciphertext."""


class Platform(enum.IntEnum):
    """Push services, under the numbers of OpenDHT's state file."""

    NONE = 0
    ANDROID = 1
    IOS = 2
    UNIFIED_PUSH = 3

    @property
    def text(self) -> str:
        """What JSON calls the platform."""
        return _NAMES[self]

    @classmethod
    def named(cls, text: str) -> Platform:
        """Return the platform that JSON calls *text*; others are none."""
        return _PLATFORMS.get(text, cls.NONE)


_NAMES: Final = {
    Platform.NONE: "",
    Platform.ANDROID: "android",
    Platform.IOS: "ios",
    Platform.UNIFIED_PUSH: "unifiedpush",
}
_PLATFORMS: Final = {name: platform for platform, name in _NAMES.items()}


@dataclass(frozen=True, slots=True)
class PushTarget:
    """Whom to notify, and in which session's name.

    Attributes:
        token: what the push service calls the device; for UnifiedPush the endpoint URL.
        client_id: names the application on the device.
        session_id: drawn anew at each start of the application, which ignores other sessions.
        topic: the application's bundle; for UnifiedPush `p256dh|auth`, or anything else.
    """

    token: str = ""
    client_id: str = ""
    session_id: str = ""
    platform: Platform = Platform.NONE
    topic: str = ""


def values_payload(
    key: InfoHash, target: PushTarget, values: Sequence[Value], *, is_expired: bool, wall_now: float
) -> Payload:
    """Return the data that says that *values* at *key* came or went."""
    ids = ",".join(str(value.id) for value in values)
    payload: dict[str, object] = {
        "ids": ids,
        "key": str(key),
        "pt": ",".join(value.push_type for value in values),
        "s": target.session_id,
        "t": int(wall_now * 1000),
        "to": target.client_id,
    }
    if is_expired and len(values) == 1:
        payload["exp"] = ids
    return payload


def is_urgent(values: Sequence[Value], *, is_expired: bool) -> bool:
    """Whether *values* deserve a notification of high priority."""
    lowest = min((value.priority for value in values), default=_LOWEST_PRIORITY)
    return not is_expired and lowest == 0


def renewal_payload(key: InfoHash, target: PushTarget, value_id: int | None) -> Payload:
    """Return the data that asks to subscribe to *key* again, or to put *value_id* again."""
    payload: dict[str, object] = {
        "s": target.session_id,
        "timeout": str(key),
        "to": target.client_id,
    }
    if value_id is not None:
        payload["vid"] = str(value_id)
    return payload


def pong_payload(target: PushTarget) -> Payload:
    """Return the data that answers a pingPush."""
    return {"pong": True, "to": target.client_id}


def gorush_push(
    target: PushTarget, payload: Payload, *, is_high: bool, wall_now: float
) -> SendPush:
    """Return the order to notify an Android or iOS device.

    Both the members that gorush of today reads (`android.ttl`) and, for old gateways, those that
    OpenDHT 2.4 wrote (`priority`, `time_to_live`) are there. iOS shows an alert that its
    application may replace for what is urgent or asks for renewal, and else wakes it silently.
    """
    urgency = "high" if is_high else "normal"
    notification: dict[str, object] = {"data": payload, "tokens": [target.token]}
    if target.platform is Platform.ANDROID:
        notification |= {
            "android": {"priority": urgency, "ttl": f"{LIFE}s"},
            "platform": 2,
            "priority": urgency,
            "time_to_live": LIFE,
        }
    else:
        notification |= {"expiration": int(wall_now) + LIFE, "platform": 1}
        if target.topic:
            notification["topic"] = target.topic
        if is_high or "timeout" in payload:
            notification |= {
                "alert": {"title": "hello"},
                "mutable_content": True,
                "priority": "high",
                "push_type": "alert",
            }
        else:
            notification |= {
                "content_available": True,
                "priority": urgency,
                "push_type": "background",
            }
    return SendPush(None, _JSON_HEADERS, _json({"notifications": [notification]}))


def unified_push(target: PushTarget, payload: Payload, *, is_high: bool, seal: Seal) -> SendPush:
    """Return the order to POST *payload* to a UnifiedPush endpoint.

    It is encrypted if the topic holds a public key and a secret; plain otherwise, as in OpenDHT.

    Raises:
        DecodeError: the topic looks like a key and a secret, and isn't: rather than to say in
            clear what was to be encrypted, nothing is sent.
    """
    headers = [*_JSON_HEADERS, ("TTL", str(LIFE)), ("Urgency", "high" if is_high else "normal")]
    body = _json(payload)
    public_key, bar, secret = target.topic.partition("|")
    if bar and public_key and secret:
        try:
            body = seal(_base64(public_key), _base64(secret), body)
        except ShoalError as error:
            raise DecodeError("the topic is not a Web Push key") from error
        headers.append(("Content-Encoding", "aes128gcm"))
    return SendPush(target.token, tuple(headers), body)


_JSON_HEADERS: Final = (("Content-Type", "application/json"),)


def _json(item: object) -> bytes:
    return json.dumps(item, sort_keys=True, separators=(",", ":")).encode()


def _base64(text: str) -> bytes:
    """Decode base64 of either alphabet, padded or not.

    Raises:
        DecodeError: *text* is neither.
    """
    plain = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise DecodeError("not base64") from error
