"""`/metrics` and `/healthz`: what a server says of itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from shoal.names.driver.server import NameServer

WEI_PER_COIN: Final = 10**18  # of every Ethereum chain
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Writes the page that Prometheus reads."""

    def __init__(self, server: NameServer) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_ServerCollector(server))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def page(self) -> bytes:
        """Return the page."""
        return generate_latest(self._registry)


def health_of(server: NameServer) -> dict[str, Any]:
    """Return what `/healthz` says."""
    status = server.index.status()
    is_well = status.is_chain_up and status.is_complete
    return {
        "status": "ok" if is_well else "degraded",
        "chain": "up" if status.is_chain_up else "unreachable",
        "chain_id": status.chain_id,
        "registry": status.registry,
        "head": status.head,
        "block": status.block,
        "names": status.names,
        "pending": len(server.engine.registrations),
        "read_only": server.config.is_read_only,
        "payer": None if server.payer is None else str(server.payer),
        "balance_wei": None if server.balance_wei is None else str(server.balance_wei),
    }


class _ServerCollector:
    """Reads the figures when Prometheus asks."""

    def __init__(self, server: NameServer) -> None:
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        if not self._server.is_open:  # not yet, when the registry first looks
            return
        yield from self._gauges()
        yield from self._counters()

    def _gauges(self) -> Iterator[Metric]:
        server, status = self._server, self._server.index.status()
        info = InfoMetricFamily("shoal_names_server", "Which registry is served.")
        info.add_metric([], {"registry": str(status.registry), "chain_id": str(status.chain_id)})
        yield info
        for name, text, value in (
            ("registered", "Names that can be looked up.", status.names),
            ("ignored", "Names on the chain that prove nothing.", status.ignored),
            ("block", "Block up to which the chain was read.", status.block),
            ("head", "The chain's newest block.", status.head),
            ("chain_up", "1 while the chain answers.", status.is_chain_up),
            ("pending", "Registrations under way.", len(server.engine.registrations)),
            ("connections", "Connections that clients hold.", server.http.open_connections),
        ):
            yield GaugeMetricFamily(f"shoal_names_{name}", text, value)
        if server.balance_wei is not None:
            left = "What the payer of fees has, in the chain's coin."
            yield GaugeMetricFamily("shoal_names_balance", left, server.balance_wei / WEI_PER_COIN)

    def _counters(self) -> Iterator[Metric]:
        server = self._server
        requests = CounterMetricFamily(
            "shoal_names_requests", "What clients asked.", labels=["kind"]
        )
        for kind, count in asdict(server.engine.stats).items():
            requests.add_metric([kind], count)
        registrations = CounterMetricFamily(
            "shoal_names_registrations", "What became of registrations.", labels=["event"]
        )
        for event, count in asdict(server.engine.registrations.stats).items():
            registrations.add_metric([event], count)
        http = asdict(server.http.stats)
        answers = CounterMetricFamily("shoal_names_answers", "Answers.", labels=["status"])
        for hundreds, count in http.pop("answers").items():
            answers.add_metric([f"{hundreds}xx"], count)
        wire = CounterMetricFamily(
            "shoal_names_http", "What happened on the wire.", labels=["event"]
        )
        for event, count in http.items():
            wire.add_metric([event], count)
        reorganisations = CounterMetricFamily(
            "shoal_names_reorganisations",
            "How often blocks that had been read went away.",
            server.index.status().reorganisations,
        )
        yield from (requests, registrations, answers, wire, reorganisations)
