r"""The proxy's JSON: what travels in the bodies of its HTTP requests and answers.

| body | content |
| --- | --- |
| line of a get or a listen | a value; with `"expired":true` it is gone; `{}` says nothing |
| POST | a value; `permanent`: `true`, or the object of a push registration |
| SUBSCRIBE | push registration; `refresh`: true if current values aren't wanted |
| UNSUBSCRIBE | `key`, `client_id` |
| node info | `node_id id ipv4 ipv6 ops storage_values storage_size … public_ip` |
| error | `{"err":"…"}`, but `{"err:":"Incorrect JSON"}` |

A push registration is `key client_id session_id platform topic`, all texts. Keys are sorted, and
there are no blanks, as the reference writes. Every object but an error ends with a line feed.

Source: OpenDHT dht_proxy_server.cpp, value.cpp (Value::toJson), callbacks.cpp (NodeInfo::toJson).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from shoal.core import DecodeError, InfoHash
from shoal.core.records import dataclass
from shoal.dht.proxy.push import Platform, PushTarget
from shoal.dht.value_json import value_from_json, value_to_json

if TYPE_CHECKING:
    from shoal.dht.value import Value

LINE_MAX: Final = 256 * 1024  # ours: thrice what a signed value of 64 KiB takes in base64
INCORRECT_JSON: Final = b'{"err:":"Incorrect JSON"}'  # with the colon that the reference has
MISSING_PARAMETERS: Final = b'{"err":"Missing parameters"}'
NO_TOKEN: Final = b'{"err":"No token"}'
NO_DESTINATION: Final = b'{"err":"No destination found"}'
PUT_FAILED: Final = b'{"err":"Put failed"}'
INTERNAL_ERROR: Final = b'{"err":"Internal server error"}'
UNAVAILABLE: Final = b'{"err":"Incorrect DhtRunner"}'
OK: Final = 200
TOO_LARGE: Final = b'{"err":"Request too large"}'  # ours, as the two below
TOO_MANY: Final = b'{"err":"Too many requests"}'
TIMED_OUT: Final = b'{"err":"Request timed out"}'
HEARTBEAT: Final = b"{}\n"  # 4.x and 2.4.12 clients take an empty object for "nothing more now"
_DEPTH_SHOWN_MIN: Final = 2  # OpenDHT node_export: an estimate needs a table that was split


class Line(NamedTuple):
    """One line of an answer: a value, and whether it is gone."""

    value: Value
    is_expired: bool


class PutBody(NamedTuple):
    """Body of a POST: the value, and for a permanent one whom to tell before it ends."""

    value: Value
    is_permanent: bool
    target: PushTarget


class Subscription(NamedTuple):
    """Body of SUBSCRIBE, UNSUBSCRIBE and pingPush."""

    target: PushTarget
    is_refresh: bool


@dataclass(frozen=True, slots=True)
class FamilyCounts:
    """How one address family of the proxy's node is connected."""

    good: int = 0
    dubious: int = 0
    incoming: int = 0
    table_depth: int = 0

    def to_json(self) -> dict[str, object]:
        """Return the counts as the reference names them."""
        counts: dict[str, object] = {
            "dubious": self.dubious,
            "good": self.good,
            "incoming": self.incoming,
        }
        if self.table_depth >= _DEPTH_SHOWN_MIN:
            counts["table_depth"] = self.table_depth
            counts["network_size_estimation"] = 8 * 2**self.table_depth
        return counts

    @classmethod
    def from_json(cls, item: object) -> FamilyCounts:
        """Read counts; what is missing or foreign counts as 0."""
        if not isinstance(item, dict):
            return cls()
        return cls(*(_count(item.get(key)) for key in ("good", "dubious", "incoming")))


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What a proxy tells about its node.

    Attributes:
        node_id: the node's id in the DHT.
        identity: key id of its identity, if it has one.
        operations: operations of its users under way.
        storage_values: values it stores, of all senders.
        storage_size: bytes of these.
        local_values: values among them that were put by its own users.
        local_size: bytes of these.
        port4: its UDP port over IPv4, 0 for none.
        port6: its UDP port over IPv6, 0 for none.
        public_ip: the address the asking client was seen under; empty in `/node/stats`.
    """

    node_id: InfoHash
    ipv4: FamilyCounts = FamilyCounts()
    ipv6: FamilyCounts = FamilyCounts()
    identity: InfoHash | None = None
    operations: int = 0
    storage_values: int = 0
    storage_size: int = 0
    local_values: int = 0
    local_size: int = 0
    port4: int = 0
    port6: int = 0
    public_ip: str = ""

    def to_json(self) -> dict[str, object]:
        """Return the info under the names of OpenDHT 4.x."""
        info: dict[str, object] = {
            "ipv4": self.ipv4.to_json(),
            "ipv6": self.ipv6.to_json(),
            "local_storage_size": self.local_size,
            "local_storage_values": self.local_values,
            "node_id": str(self.node_id),
            "ops": self.operations,
            "storage_size": self.storage_size,
            "storage_values": self.storage_values,
        }
        optional = {
            "id": self.identity and str(self.identity),
            "port_ipv4": self.port4,
            "port_ipv6": self.port6,
            "public_ip": self.public_ip,
        }
        return info | {key: item for key, item in optional.items() if item}


def encode(item: object) -> bytes:
    """Return *item* as one line of JSON, with the line feed."""
    return json.dumps(item, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def decode(text: bytes) -> dict[str, object]:
    """Read one JSON object.

    Raises:
        DecodeError: *text* is not JSON in UTF-8, or not an object.
    """
    try:
        item = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DecodeError("not JSON") from error
    if not isinstance(item, dict):
        raise DecodeError("not a JSON object")
    return item


def encode_value(value: Value, *, is_expired: bool = False) -> bytes:
    """Return *value* as one line of an answer."""
    item = value_to_json(value)
    return encode(item | {"expired": True} if is_expired else item)


def decode_line(line: bytes) -> Line | None:
    """Read one line of an answer; None if it is empty of meaning.

    Raises:
        DecodeError: *line* is not a value in JSON.
    """
    if not line.strip():
        return None
    item = decode(line)
    return Line(value_from_json(item), item.get("expired") is True) if item else None


def encode_put(value: Value, permanent: bool | PushTarget) -> bytes:
    """Return the body of a POST of *value*."""
    item: dict[str, object] = dict(value_to_json(value))
    if isinstance(permanent, PushTarget):
        item["permanent"] = _registration(permanent)
    elif permanent:
        item["permanent"] = True
    return encode(item)


def decode_put(body: bytes) -> PutBody:
    """Read the body of a POST; a value without an id has id 0.

    Raises:
        DecodeError: *body* is not a value in JSON.
    """
    item = decode(body)
    permanent = item.get("permanent")
    target = _read_target(permanent) if isinstance(permanent, dict) else _read_target({})
    # the reference takes any `permanent`, false too; we believe what it says
    is_permanent = permanent is not None and permanent is not False
    return PutBody(value_from_json(item), is_permanent, target)


def decode_encrypted_put(body: bytes) -> tuple[Value, InfoHash | None]:
    """Read the body of an encrypt request: the value, and the key id it is for, if given.

    Raises:
        DecodeError: *body* is not a value in JSON.
    """
    item = decode(body)
    recipient = item.pop("to", None)
    value = value_from_json(item)
    try:
        return value, InfoHash.from_hex(recipient if isinstance(recipient, str) else "")
    except DecodeError:
        return value, None


def encode_subscription(target: PushTarget, *, is_refresh: bool) -> bytes:
    """Return the body of a SUBSCRIBE."""
    item: dict[str, object] = dict(_registration(target))
    return encode(item | {"refresh": True} if is_refresh else item)


def decode_subscription(body: bytes) -> Subscription:
    """Read the body of SUBSCRIBE, UNSUBSCRIBE or pingPush.

    Raises:
        DecodeError: *body* is not a JSON object.
    """
    item = decode(body)
    return Subscription(_read_target(item), item.get("refresh") is True)


def decode_info(body: bytes) -> NodeInfo:
    """Read node info; counts that are missing or foreign are 0.

    Raises:
        DecodeError: *body* has no node id.
    """
    item = decode(body)
    node_id, public_ip = item.get("node_id"), item.get("public_ip")
    if not isinstance(node_id, str):
        raise DecodeError("node info without a node id")
    return NodeInfo(
        InfoHash.from_hex(node_id),
        FamilyCounts.from_json(item.get("ipv4")),
        FamilyCounts.from_json(item.get("ipv6")),
        operations=_count(item.get("ops")),
        storage_values=_count(item.get("storage_values")),
        storage_size=_count(item.get("storage_size")),
        public_ip=public_ip if isinstance(public_ip, str) else "",
    )


def _registration(target: PushTarget) -> dict[str, str]:
    """Return the JSON form of a push target."""
    return {
        "client_id": target.client_id,
        "key": target.token,
        "platform": target.platform.text,
        "session_id": target.session_id,
        "topic": target.topic,
    }


def _read_target(item: dict[str, object]) -> PushTarget:
    """Read a push target; texts that are missing are empty, numbers are taken for texts."""
    return PushTarget(
        token=_text(item.get("key")),
        client_id=_text(item.get("client_id")),
        session_id=_text(item.get("session_id")),
        platform=Platform.named(_text(item.get("platform"))),
        topic=_text(item.get("topic")),
    )


def _text(item: object) -> str:
    """Return *item* as text, as jsoncpp's asString does with texts and whole numbers."""
    if isinstance(item, str):
        return item.encode("utf-8", "replace").decode()  # lone surrogates could not be saved
    return str(item) if type(item) is int else ""


def _count(item: object) -> int:
    """Return *item* if it is a count, else 0."""
    return item if type(item) is int and item >= 0 else 0


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
