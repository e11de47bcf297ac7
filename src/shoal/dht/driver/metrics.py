"""`/metrics` for Prometheus, `/healthz` for supervisors, `/stats` as JSON: of one node, over HTTP.

A few lines of HTTP/1.1, for one reader on the same machine; not a web server.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from shoal.dht.effects import Status
from shoal.dht.errors import BindError, DhtError, PortTakenError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from prometheus_client.core import Metric

    from shoal.dht.driver.node import DhtNode
    from shoal.dht.driver.stats import NodeStats

REQUEST_SIZE_MAX: Final = 8192  # ours: a request line and a browser's headers
REQUEST_TIME_MAX: Final = 5.0  # seconds; ours: the reader is on this machine
CONNECTIONS_MAX: Final = 32  # ours
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_JSON: Final = "application/json"


class MetricsServer:
    """Serves the figures of *node* until closed; use it as an async context manager."""

    def __init__(self, node: DhtNode, port: int, host: str = "127.0.0.1") -> None:
        self._node = node
        self._address = (host, port)
        self._connections = 0
        self._server: asyncio.Server | None = None
        self._registry = CollectorRegistry()
        self._registry.register(NodeCollector(node))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            PortTakenError: another program has the port.
            BindError: the address cannot be listened on.
        """
        host, port = self._address
        try:
            self._server = await asyncio.start_server(
                self._serve, host, port, limit=REQUEST_SIZE_MAX
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(f"TCP port {port} of {host} is taken") from error
            raise BindError(
                f"cannot serve metrics on {host} port {port}: {error.strerror}"
            ) from error
        return self

    async def __aexit__(self, *unused: object) -> None:
        assert self._server is not None, "entered before"
        self._server.close()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        """The TCP port."""
        assert self._server is not None, "entered before"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            # A connection that is reset or too slow concerns only who opened it.
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(REQUEST_TIME_MAX):
                    if self._connections <= CONNECTIONS_MAX:
                        writer.write(self._answer(await _request_line(reader)))
                        await writer.drain()
        finally:
            self._connections -= 1
            writer.close()

    def _answer(self, request: str) -> bytes:
        method, path = (*request.split(), "", "")[:2]
        if method not in {"GET", "HEAD"}:
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"GET only\n")
        status, kind, body = self._resource(path.partition("?")[0])
        return _response(status, kind, body, has_body=method == "GET")

    def _resource(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        match path:
            case "/metrics":
                return HTTPStatus.OK, _TEXT, generate_latest(self._registry)
            case "/stats":
                return HTTPStatus.OK, _JSON, _to_json(self._node.stats().to_json())
            case "/healthz":
                status = HTTPStatus.OK if is_healthy(self._node) else HTTPStatus.SERVICE_UNAVAILABLE
                return status, _JSON, _to_json({"status": self._node.status.value})
            case _:
                return HTTPStatus.NOT_FOUND, _TEXT, b"/metrics, /healthz or /stats\n"


def is_healthy(node: DhtNode) -> bool:
    """Whether the node does its work: a node that knows whom to join by should be connected."""
    return node.status is Status.CONNECTED or not node.has_bootstrap


class NodeCollector:
    """Reads a node's figures when Prometheus asks."""

    def __init__(self, node: DhtNode) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        with contextlib.suppress(DhtError):  # not started yet, when the registry first looks
            stats = self._node.stats()
            yield from _gauges(stats)
            yield from _counters(stats)


def _gauges(stats: NodeStats) -> Iterator[Metric]:
    info = InfoMetricFamily("shoal_dht_node", "Which node this is.")
    info.add_metric([], {"node_id": str(stats.node_id), "network": str(stats.network)})
    yield info
    yield GaugeMetricFamily("shoal_dht_uptime_seconds", "Since the start.", stats.uptime)
    yield GaugeMetricFamily("shoal_dht_operations", "Operations under way.", stats.operations)
    yield GaugeMetricFamily("shoal_dht_values", "Values stored.", stats.values)
    yield GaugeMetricFamily("shoal_dht_values_bytes", "What they take.", stats.values_bytes)
    nodes = GaugeMetricFamily("shoal_dht_nodes", "Nodes known.", labels=["family", "state"])
    connected = GaugeMetricFamily("shoal_dht_connected", "1 if connected.", labels=["family"])
    depth = GaugeMetricFamily("shoal_dht_table_depth", "Splits of the table.", labels=["family"])
    size = GaugeMetricFamily("shoal_dht_network_nodes", "Estimated size.", labels=["family"])
    searches = GaugeMetricFamily("shoal_dht_searches", "Searches kept.", labels=["family"])
    for family, one in stats.families.items():
        label = family.name.lower()
        for state in ("good", "dubious", "cached", "incoming"):
            nodes.add_metric([label, state], getattr(one, state))
        connected.add_metric([label], one.status is Status.CONNECTED)
        depth.add_metric([label], one.table_depth)
        size.add_metric([label], one.size_estimate)
        searches.add_metric([label], one.searches)
    yield from (nodes, connected, depth, size, searches)


def _counters(stats: NodeStats) -> Iterator[Metric]:
    udp = stats.udp
    datagrams = CounterMetricFamily("shoal_udp_datagrams", "Datagrams.", labels=["direction"])
    datagrams.add_metric(["in"], udp.received)
    datagrams.add_metric(["out"], udp.sent)
    size = CounterMetricFamily("shoal_udp_bytes", "Bytes in datagrams.", labels=["direction"])
    size.add_metric(["in"], udp.received_bytes)
    size.add_metric(["out"], udp.sent_bytes)
    lost = CounterMetricFamily("shoal_udp_lost", "Datagrams dropped here.", labels=["reason"])
    for reason in (
        "received_too_late",
        "received_too_many",
        "send_dropped",
        "send_failed",
        "unreachable",
    ):
        lost.add_metric([reason], getattr(udp, reason))
    events = CounterMetricFamily(
        "shoal_dht_events", "What the engine counted.", labels=["part", "event"]
    )
    for part, counters in stats.counters.items():
        for event, count in counters.items():
            events.add_metric([part, event], count)
    yield from (datagrams, size, lost, events)


async def _request_line(reader: asyncio.StreamReader) -> str:
    """Return the first line of a request, having read its headers; empty if it has none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return ""
    return head.partition(b"\r\n")[0].decode("latin-1")


def _response(status: HTTPStatus, kind: str, body: bytes, *, has_body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if has_body else b"")


def _to_json(content: object) -> bytes:
    return json.dumps(content).encode() + b"\n"
