"""Requests of all kinds: each gets an answer, and none makes the server fail."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shoal.core.driver import SystemEntropy
from shoal.dht.proxy import ProxyLimits, ProxyServerConfig, ProxyServerEngine
from shoal.dht.proxy.driver.application import Application
from tests.unit.dht.proxy.fake_node import FakeNode
from tests.unit.dht.proxy.test_wire import BODIES

METHODS = st.sampled_from(("GET", "POST", "SUBSCRIBE", "UNSUBSCRIBE", "OPTIONS", "PUT"))
PATHS = st.sampled_from(
    (
        "/",
        "/node/stats",
        "/node/pingPush",
        "/foo",
        "/key/foo",
        "/key/foo/sign",
        "/key/foo/encrypt",
        "/key/foo/options",
        "/key/" + "0" * 40,
        "/x/y/z",
    )
)
BYTES = st.binary(max_size=100) | BODIES.map(json.dumps).map(str.encode)


class Host:
    """Carries out nothing."""

    def __init__(self, config: ProxyServerConfig) -> None:
        self.engine = ProxyServerEngine(
            config, SystemEntropy(), 0.0, wall_offset=0.0, seal=lambda *_: b""
        )

    def apply(self, effects: object) -> None:
        """Ignore them."""


async def answer(method: str, path: str, pieces: list[bytes], *, has_left: bool) -> int | None:
    """Return the status of an answer, None if there was none."""
    config = ProxyServerConfig(limits=ProxyLimits(body_max=150))
    host = Host(config)
    node = FakeNode()
    application = Application(host, node, config, SystemEntropy())
    status: list[int] = []
    inputs: list[Any] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
    ]
    if not has_left:
        inputs.append({"type": "http.request", "body": b"", "more_body": False})
    gone = asyncio.Event()

    async def receive() -> Any:
        if inputs:
            return inputs.pop(0)
        if not has_left:
            await gone.wait()
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        if event["type"] == "http.response.start":
            status.append(event["status"])

    scope: Any = {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "client": ("192.0.2.1", 5),
        "headers": [],
        "state": {"abort": gone.set},
    }
    async with asyncio.timeout(20.0):
        await application(scope, receive, send)
        await application.close()
    assert len(status) <= 1
    return status[0] if status else None


@given(METHODS, PATHS, st.lists(BYTES, max_size=3), st.booleans())
def test_no_request_is_an_error(
    method: str, path: str, pieces: list[bytes], has_left: bool
) -> None:
    """Each has a status that says what is wrong with it, and none is 500."""
    status = asyncio.run(answer(method, path, pieces, has_left=has_left))

    if status is None:
        assert has_left
    else:
        assert status in (200, 400, 413, 429, 501)
