"""Which request is for what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.names.routes import (
    FindAccount,
    FindName,
    FindRegistration,
    GetPage,
    NoRoute,
    RegisterName,
    Route,
    route,
)


@pytest.mark.parametrize(
    ("method", "target", "asked"),
    [
        ("GET", "/name/alice", FindName("alice")),
        ("HEAD", "/name/alice", FindName("alice")),
        ("GET", "/name/al%69ce?x=1", FindName("alice")),
        ("GET", "/name/", FindName("")),
        ("GET", "/name/a%2Fb", FindName("a/b")),
        ("GET", "/name/alice/publickey", FindName("alice", "publickey")),
        ("GET", "/name/alice/signature", FindName("alice", "signature")),
        ("GET", "/name/alice/owner", FindName("alice", "owner")),
        ("GET", "/addr/0xab", FindAccount("0xab")),
        ("POST", "/name/alice", RegisterName("alice")),
        ("GET", "/registration/alice", FindRegistration("alice")),
        ("GET", "/metrics", GetPage("/metrics")),
        ("GET", "/healthz?x", GetPage("/healthz")),
        ("GET", "/openapi.json", GetPage("/openapi.json")),
        ("PUT", "/name/alice", NoRoute(("GET", "HEAD", "POST"))),
        ("POST", "/name/alice/owner", NoRoute(("GET", "HEAD"))),
        ("POST", "/addr/0xab", NoRoute(("GET", "HEAD"))),
        ("DELETE", "/metrics", NoRoute(("GET", "HEAD"))),
        ("GET", "/", NoRoute()),
        ("GET", "", NoRoute()),
        ("GET", "/name", NoRoute()),
        ("GET", "/name/alice/other", NoRoute()),
        ("GET", "http://elsewhere/name/alice", NoRoute()),
        ("GET", "/name/" + "x" * 600, NoRoute()),
        ("OPTIONS", "*", NoRoute()),
    ],
)
def test_routes(method: str, target: str, asked: Route) -> None:
    """Every endpoint, and what is beside it."""
    assert route(method, target) == asked


@given(st.text(max_size=10), st.text(max_size=600))
def test_any_request_has_a_route(method: str, target: str) -> None:
    """Nothing raises."""
    route(method, target)
