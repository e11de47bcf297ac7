"""What request lines ask for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import InfoHash
from shoal.dht.proxy.routes import Action, Route, route

HEX = "0123456789abcdef0123456789abcdef01234567"
KEY = InfoHash.from_hex(HEX)
VECTORS = Path(__file__).parents[3] / "vectors" / "proxy" / "server-2.4.12.json"


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", f"/key/{HEX}", Action.GET),
        ("GET", f"/{HEX}", Action.GET),
        ("GET", f"/key/{HEX}/", Action.GET),
        ("GET", f"/key/{HEX}ff", Action.GET),
        ("POST", f"/key/{HEX}", Action.PUT),
        ("POST", f"/{HEX}", Action.PUT),
        ("GET", f"/key/{HEX}/listen", Action.LISTEN),
        ("SUBSCRIBE", f"/key/{HEX}", Action.SUBSCRIBE),
        ("SUBSCRIBE", f"/{HEX}", Action.SUBSCRIBE),
        ("UNSUBSCRIBE", f"/key/{HEX}", Action.UNSUBSCRIBE),
        ("POST", f"/key/{HEX}/sign", Action.SIGN),
        ("POST", f"/key/{HEX}/encrypt", Action.ENCRYPT),
        ("GET", f"/key/{HEX}/options", Action.OPTIONS),
        ("OPTIONS", f"/{HEX}", Action.OPTIONS),
        ("OPTIONS", f"/key/{HEX}", Action.OPTIONS),
        ("OPTIONS", f"/key/{HEX}/listen", Action.OPTIONS),
    ],
)
def test_of_a_key(method: str, path: str, action: Action) -> None:
    """Each route of a key, in its old and its new form."""
    assert route(method, path) == Route(action, KEY)


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "/", Action.INFO),
        ("GET", "/node/info", Action.INFO),
        ("GET", "/node/info/", Action.INFO),
        ("GET", "/node/stats", Action.STATS),
        ("POST", "/node/pingPush", Action.PING_PUSH),
    ],
)
def test_of_the_node(method: str, path: str, action: Action) -> None:
    """Each route without a key."""
    assert route(method, path) == Route(action)


@pytest.mark.parametrize("text", ["foo", "a%20b", "key", "0" * 40, HEX[:39]])
def test_other_keys_are_hashed(text: str) -> None:
    """What isn't 40 hex digits is hashed as it stands, percent signs and all; zeros, too."""
    assert route("GET", f"/key/{text}") == Route(Action.GET, InfoHash.of(text.encode()))
    assert route("GET", f"/{text}") == Route(Action.GET, InfoHash.of(text.encode()))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", f"/key/{HEX}"),
        ("LISTEN", f"/key/{HEX}"),
        ("OPTIONS", "/"),
        ("GET", "/a/b"),
        ("GET", f"/key/{HEX}/other"),
        ("GET", f"/key/{HEX}/listen/more"),
        ("GET", "/key//listen"),
        ("POST", "/"),
    ],
)
def test_unknown(method: str, path: str) -> None:
    """Everything else is no route."""
    assert route(method, path) is None


def test_as_debians_server() -> None:
    """A route of Debian's server is one here; only OPTIONS and the push ping are known to more."""
    for entry in json.loads(VECTORS.read_text()):
        is_theirs = bool(entry["answer"]) and " 501 " not in entry["answer"].split("\r\n")[0]
        is_ours = route(entry["method"], entry["path"].partition("?")[0]) is not None
        only_ours = entry["method"] == "OPTIONS" or entry["path"].endswith(
            ("/pingPush", "/sign", "/encrypt")
        )
        empty_token = entry["method"] == "UNSUBSCRIBE"  # they refuse it as if it were no route
        assert is_ours == is_theirs or (is_ours and (only_ours or empty_token)), entry


@given(st.text(max_size=10), st.text(max_size=80))
def test_any_text(method: str, path: str) -> None:
    """Any request line is a route or isn't; none is an error."""
    found = route(method, path)
    assert found is None or found.action in Action
