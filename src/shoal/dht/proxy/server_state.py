"""The proxy server's state file: permanent puts and push subscriptions that survive a restart.

msgpack, as OpenDHT writes it:

```text
{"puts":          {key bin20: [{value id: {value, exp[, cid][, sid][, t, token][, top]}}]},
 "pushListeners": {push token: [{key bin20: [{cid, exp[, sid], t[, top]}]}]}}
```

`exp` is the wall-clock second at which the entry ends, `cid` the client id, `sid` its session, `t`
the number of the platform, `top` the topic.

Source: OpenDHT dht_proxy_server.h, PermanentPut and Listener; vector of 2.4.12 in the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgpack

from shoal.core import DecodeError, InfoHash
from shoal.dht.packing import UINT64_MAX, unpack
from shoal.dht.proxy.push import Platform, PushTarget
from shoal.dht.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WALL_MAX: Final = 253_402_300_799  # the end of the year 9999: later is damage


class SavedPut(NamedTuple):
    """A permanent put; *wall_expiry* is the wall-clock second at which it ends."""

    key: InfoHash
    value: Value
    target: PushTarget
    wall_expiry: int


class SavedSubscription(NamedTuple):
    """A push subscription; *wall_expiry* is the wall-clock second at which it ends."""

    key: InfoHash
    target: PushTarget
    wall_expiry: int


class ServerState(NamedTuple):
    """What a proxy server must not forget."""

    puts: tuple[SavedPut, ...] = ()
    subscriptions: tuple[SavedSubscription, ...] = ()


def encode(puts: Iterable[SavedPut], subscriptions: Iterable[SavedSubscription]) -> bytes:
    """Return the file's bytes."""
    by_key: dict[bytes, dict[int, object]] = {}
    for put in puts:
        by_key.setdefault(bytes(put.key), {})[put.value.id] = _put_entry(put)
    by_token: dict[str, dict[bytes, list[object]]] = {}
    for saved in subscriptions:
        by_subscribed = by_token.setdefault(saved.target.token, {})
        by_subscribed.setdefault(bytes(saved.key), []).append(_subscription_entry(saved))
    state = {
        "puts": {key: [entries] for key, entries in by_key.items()},
        "pushListeners": {token: [by_key] for token, by_key in by_token.items()},
    }
    packed = msgpack.packb(state, use_bin_type=True, unicode_errors="surrogateescape")
    assert isinstance(packed, bytes)
    return packed


def decode(data: bytes) -> ServerState:
    """Read a state file of ours or of OpenDHT; a damaged entry is left out, the rest stays.

    Raises:
        DecodeError: *data* is not such a file.
    """
    try:
        state = msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogateescape")
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise DecodeError("the proxy's state is not msgpack") from error
    if not isinstance(state, dict):
        raise DecodeError("the proxy's state is not a map")
    return ServerState(
        tuple(_puts(state.get("puts"))), tuple(_subscriptions(state.get("pushListeners")))
    )


def _put_entry(put: SavedPut) -> dict[str, object]:
    entry: dict[str, object] = {
        "value": unpack(put.value.packed()),
        "exp": put.wall_expiry,
    }
    target = put.target
    if target.client_id:
        entry["cid"] = target.client_id
    if target.session_id:
        entry["sid"] = target.session_id
    if target.token:
        entry |= {"t": int(target.platform), "token": target.token}
    if target.topic:
        entry["top"] = target.topic
    return entry


def _subscription_entry(saved: SavedSubscription) -> dict[str, object]:
    target = saved.target
    entry: dict[str, object] = {
        "cid": target.client_id,
        "exp": saved.wall_expiry,
        "sid": target.session_id,
        "t": int(target.platform),
    }
    if target.topic:
        entry["top"] = target.topic
    return entry


def _puts(item: object) -> Iterator[SavedPut]:
    for key, entries in _by_key(item):
        for entry in entries.values():
            try:
                value = Value.from_object(_map(entry).get("value"))
                token = _text(_map(entry).get("token"))
                yield SavedPut(key, value, _target(token, entry), _expiry(entry))
            except DecodeError:
                continue


def _subscriptions(item: object) -> Iterator[SavedSubscription]:
    for token, wrapped in item.items() if isinstance(item, dict) else ():
        if not isinstance(token, str) or not isinstance(wrapped, list) or not wrapped:
            continue
        for key, entries in _keys(wrapped[0]):
            for entry in entries if isinstance(entries, list) else ():
                try:
                    yield SavedSubscription(key, _target(token, entry), _expiry(entry))
                except DecodeError:
                    continue


def _by_key(item: object) -> Iterator[tuple[InfoHash, dict[object, object]]]:
    """Take apart `{key: [{…}]}`."""
    for key, wrapped in _keys(item):
        if isinstance(wrapped, list) and wrapped and isinstance(wrapped[0], dict):
            yield key, wrapped[0]


def _keys(item: object) -> Iterator[tuple[InfoHash, object]]:
    for key, inner in item.items() if isinstance(item, dict) else ():
        if isinstance(key, bytes) and len(key) == InfoHash.length:
            yield InfoHash(key), inner


def _target(token: str, entry: object) -> PushTarget:
    fields = _map(entry)
    number = fields.get("t")
    return PushTarget(
        token,
        _text(fields.get("cid")),
        _text(fields.get("sid")),
        Platform(number) if type(number) is int and 0 <= number <= max(Platform) else Platform.NONE,
        _text(fields.get("top")),
    )


def _expiry(entry: object) -> int:
    wall_expiry = _map(entry).get("exp")
    if type(wall_expiry) is not int or not 0 <= wall_expiry <= min(_WALL_MAX, UINT64_MAX):
        raise DecodeError("an entry without an end")
    return wall_expiry


def _map(item: object) -> dict[object, object]:
    if not isinstance(item, dict):
        raise DecodeError("an entry that is not a map")
    return item


def _text(item: object) -> str:
    return item if isinstance(item, str) else ""
