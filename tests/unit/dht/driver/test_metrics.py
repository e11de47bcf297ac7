"""The three pages of a node's figures, asked for well and badly."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from shoal.dht.driver import metrics
from shoal.dht.driver.metrics import MetricsServer
from shoal.dht.errors import BindError, PortTakenError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shoal.dht.driver import DhtNode

    OpenNode = Callable[..., Awaitable[DhtNode]]
    Pair = tuple[DhtNode, DhtNode]


async def asked(server: MetricsServer, request: bytes) -> tuple[bytes, bytes]:
    """Return head and body of the answer to *request*; empty if there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    try:
        async with asyncio.timeout(10):
            answer = await reader.read()
    except ConnectionResetError:
        answer = b""
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def get(path: str) -> bytes:
    """Return a request."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_pages(pair: Pair) -> None:
    """For Prometheus, for supervisors, for scripts."""
    async with MetricsServer(pair[0], 0) as server:
        head, body = await asked(server, get("/metrics"))
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert b'shoal_dht_connected{family="ipv4"} 1.0' in body
        assert b'shoal_udp_datagrams_total{direction="in"}' in body
        head, body = await asked(server, get("/stats?x=1"))
        assert json.loads(body)["node_id"] == str(pair[0].node_id)
        head, body = await asked(server, get("/healthz"))
        assert (head.split(b"\r\n")[0], json.loads(body)) == (
            b"HTTP/1.1 200 OK",
            {"status": "connected"},
        )
        head, body = await asked(server, b"HEAD /healthz HTTP/1.1\r\n\r\n")
        assert b"Content-Length: 24" in head
        assert body == b""


async def test_a_node_that_is_lost_is_not_healthy(open_node: OpenNode, silent_host: str) -> None:
    """It knows whom to join by, and does not reach them."""
    node = await open_node(bootstrap=[silent_host])
    async with MetricsServer(node, 0) as server:
        head, _ = await asked(server, get("/healthz"))
        assert head.startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"404"),
        (b"GET\r\n\r\n", b"404"),
        (b"\r\n\r\n", b"405"),
        (b"\xff\xfe\r\n\r\n", b"405"),
    ],
)
async def test_bad_requests_are_answered(
    open_node: OpenNode, request_: bytes, status: bytes
) -> None:
    """With a status, and never with an exception."""
    async with MetricsServer(await open_node(), 0) as server:
        head, _ = await asked(server, request_)
        assert head.split(b" ")[1] == status


async def test_slow_and_endless_requests_are_cut_off(
    open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And too many at once."""
    monkeypatch.setattr(metrics, "REQUEST_TIME_MAX", 0.05)
    async with MetricsServer(await open_node(), 0) as server:
        assert await asked(server, b"GET /metrics HTTP/1.1\r\n") == (b"", b"")
        head, _ = await asked(server, b"x" * 3 * metrics.REQUEST_SIZE_MAX)
        assert head == b"" or b" 405 " in head
        monkeypatch.setattr(metrics, "CONNECTIONS_MAX", 0)
        assert await asked(server, get("/metrics")) == (b"", b"")


async def test_a_taken_port_and_a_foreign_address_are_errors(open_node: OpenNode) -> None:
    """As those of the node itself."""
    node = await open_node()
    async with MetricsServer(node, 0) as server:
        with pytest.raises(PortTakenError, match=r"TCP port \d+ of 127.0.0.1 is taken"):
            await MetricsServer(node, server.port).__aenter__()
        with pytest.raises(BindError, match=r"192\.0\.2\.1"):
            await MetricsServer(node, 0, "192.0.2.1").__aenter__()
