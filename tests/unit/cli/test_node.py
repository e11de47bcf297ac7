"""`shoal dht node`: started, looked at over HTTP, stopped by signals."""

# ruff: noqa: S603 - the programs that run are our own

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from shoal.cli.node import masked, short_id
from shoal.core import Address, InfoHash
from tests.unit.cli.conftest import NETWORK, Peer, shoal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def running(*words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run a node as a program of its own; yield it and its first event."""
    arguments = ["--port", "0", "--bind", "127.0.0.1", "--network", str(NETWORK), "--json", *words]
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal", "dht", "node", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


def event_after(process: subprocess.Popen[str], name: str) -> dict[str, Any]:
    """Read events up to the first of that name."""
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == name:
            return event
    raise AssertionError(f"no {name} before the end")


def fetch(url: str) -> tuple[int, str]:
    """Return status and body."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly(peer: Peer, tmp_path: Path, number: signal.Signals) -> None:
    """With status 0, having said so and saved its state for the next run."""
    state = ("--state", str(tmp_path / "node"))
    with running("--bootstrap", peer.host, *state) as (process, started):
        joined = event_after(process, "joined")
        assert joined["node_id"] == str(peer.node.node_id)
        assert joined["addr"] == peer.host
        process.send_signal(number)
        assert event_after(process, "stopped") == {"event": "stopped"}
        assert process.wait(10) == 0

    with running(*state) as (process, again):
        assert again["node_id"] == started["node_id"]
        assert again["bound"] == started["bound"]
        assert event_after(process, "joined")["node_id"] == str(peer.node.node_id)


def test_figures_over_http(peer: Peer) -> None:
    """Metrics for Prometheus, health for supervisors, figures for `shoal dht stats`."""
    with running("--bootstrap", peer.host, "--metrics", "0") as (process, started):
        event_after(process, "joined")
        url = started["metrics"]
        status, metrics = fetch(url)
        assert status == 200
        assert 'shoal_dht_nodes{family="ipv4",state="good"} 1.0' in metrics
        assert "process_resident_memory_bytes" in metrics
        base = url.removesuffix("/metrics")
        assert fetch(f"{base}/healthz") == (200, '{"status": "connected"}\n')
        assert fetch(f"{base}/nothing")[0] == 404

        stats = shoal("dht", "stats", "--node", url)
        assert stats.status == 0
        assert started["node_id"] in stats.out
        assert "1 good, " in stats.out
        (event,) = shoal("dht", "stats", "--node", url, "--json").events
        assert event["families"]["ipv4"]["good"] == 1


def test_a_node_that_lost_its_network_is_not_healthy() -> None:
    """A supervisor may then restart it; a node alone on purpose is fine."""
    with running("--bootstrap", "127.0.0.1:1", "--metrics", "0") as (_, started):
        assert fetch(started["metrics"].replace("metrics", "healthz"))[0] == 503
    with running("--alone", "--metrics", "0") as (_, started):
        assert fetch(started["metrics"].replace("metrics", "healthz"))[0] == 200


def test_a_taken_port_is_status_5(peer: Peer) -> None:
    """For the node, and for its metrics."""
    words = ("dht", "node", "--alone", "--network", "5", "--bind", "127.0.0.1")
    taken = shoal(*words, "--port", str(peer.node.port))
    assert taken.status == 5
    assert f"UDP port {peer.node.port} of 127.0.0.1 is taken" in taken.err
    assert "choose another port" in taken.err


def test_unusable_files_are_status_5(tmp_path: Path) -> None:
    """A state in no directory, an identity that is none."""
    words = ("dht", "node", "--alone", "--network", "5", "--bind", "127.0.0.1", "--port", "0")
    lost = shoal(*words, "--state", str(tmp_path / "missing" / "state"))
    assert (lost.status, lost.out) == (5, "")
    assert "missing" in lost.err
    assert shoal(*words, "--identity", str(tmp_path / "nobody")).status == 5


def test_logs_do_not_say_who_others_are() -> None:
    """Logs are kept and copied: half an address, and a piece of an id."""
    assert masked(Address.parse("192.0.2.1", 5)) == "192.0.x.x:5"
    assert masked(Address.parse("2001:db8::1", 5)) == "[2001:0db8:…]:5"
    assert short_id(InfoHash.of(b"")) == "da39a3ee…"
