"""Which operation a request line asks the proxy for.

| method | path | action |
| --- | --- | --- |
| GET | `/`, `/node/info` | info |
| GET | `/node/stats` | stats |
| GET | `/key/:hash`, `/:hash` | get |
| POST | the same | put |
| GET | `/key/:hash/listen` | listen |
| SUBSCRIBE, UNSUBSCRIBE | `/key/:hash`, `/:hash` | subscribe, unsubscribe |
| POST | `/node/pingPush` | ping push |
| POST | `/key/:hash/sign`, `/key/:hash/encrypt` | sign, encrypt |
| OPTIONS | each path with a key; GET `/key/:hash/options` | options |

One slash at the end is allowed. The key is used as it stands in the request line: OpenDHT doesn't
undo percent signs either (seen with 2.4.12), so that a client must name such keys by their hash.

Source: OpenDHT dht_proxy_server.cpp, createRestRouter.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from shoal.core import InfoHash
from shoal.core.ids import ZERO_HASH


class Action(enum.Enum):
    """What a proxy can be asked to do."""

    INFO = enum.auto()
    STATS = enum.auto()
    GET = enum.auto()
    PUT = enum.auto()
    LISTEN = enum.auto()
    SUBSCRIBE = enum.auto()
    UNSUBSCRIBE = enum.auto()
    PING_PUSH = enum.auto()
    SIGN = enum.auto()
    ENCRYPT = enum.auto()
    OPTIONS = enum.auto()


class Route(NamedTuple):
    """An action, and the key it is about; the zero key if it is about none."""

    action: Action
    key: InfoHash = ZERO_HASH


_FIXED: Final = {
    ("GET", ""): Action.INFO,
    ("GET", "node/info"): Action.INFO,
    ("GET", "node/stats"): Action.STATS,
    ("POST", "node/pingPush"): Action.PING_PUSH,
}
_OF_KEY: Final = {
    ("GET", ""): Action.GET,
    ("POST", ""): Action.PUT,
    ("SUBSCRIBE", ""): Action.SUBSCRIBE,
    ("UNSUBSCRIBE", ""): Action.UNSUBSCRIBE,
    ("GET", "listen"): Action.LISTEN,
    ("GET", "options"): Action.OPTIONS,
    ("POST", "sign"): Action.SIGN,
    ("POST", "encrypt"): Action.ENCRYPT,
    # the reference answers at `/:hash` and [4.x] `/key/:hash/listen` only, which keeps browsers
    # from posting to `/key/:hash`
    ("OPTIONS", ""): Action.OPTIONS,
    ("OPTIONS", "listen"): Action.OPTIONS,
    ("OPTIONS", "sign"): Action.OPTIONS,
    ("OPTIONS", "encrypt"): Action.OPTIONS,
}


def route(method: str, path: str) -> Route | None:
    """Return what *method* and *path* (without a query) ask for, None if it is unknown."""
    inner = path.removeprefix("/").removesuffix("/")
    fixed = _FIXED.get((method, inner))
    if fixed is not None:
        return Route(fixed)
    match inner.split("/"):
        case [text] if text:
            action = _OF_KEY.get((method, ""))
        case ["key", text] if text:
            action = _OF_KEY.get((method, ""))
        case ["key", text, word] if text and word:
            action = _OF_KEY.get((method, word))
        case _:
            return None
    return None if action is None else Route(action, _key(text))


def _key(text: str) -> InfoHash:
    """Return the key that *text* names; forty zeros are a text like any other."""
    key = InfoHash.from_text(text)
    return key if key != ZERO_HASH else InfoHash.of(text.encode())
