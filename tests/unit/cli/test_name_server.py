"""`shoal names serve`: started, used, stopped by signals, wrongly called."""

# ruff: noqa: S603 - the programs that run are our own

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from shoal.cli.common import Exit
from shoal.names import NameClient
from tests.unit.cli.conftest import shoal
from tests.unit.names.people import record_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALICE = record_of("alice")


@contextlib.contextmanager
def serving(data: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run a server as a program of its own; yield it and its first event."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "shoal", "names", "serve", "--json"),
            *("--data", str(data), "--port", "0", *words),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """With status 0; the next run has what the first registered, and the same payer."""
    with serving(tmp_path) as (process, started):
        assert started["event"] == "started"
        assert started["names"] == 0

        async def register() -> None:
            async with NameClient(server=started["url"]) as client:
                await client.register_record(ALICE)

        asyncio.run(register())
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert json.loads(out) == {"event": "stopped"}
        assert process.returncode == 0
        assert "Traceback" not in err
    with serving(tmp_path, "--read-only") as (_, again):
        assert again["names"] == 1
        assert again["chain_id"] == started["chain_id"]
        assert again["payer"] is None
        found = shoal("name", "lookup", "alice", "--server", again["url"])
        assert found.out.strip() == str(ALICE.account)


def test_what_is_shown_to_people(tmp_path: Path) -> None:
    """Where it is, what it serves, who pays."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal", "names", "serve", "--data", str(tmp_path), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert lines[0].startswith("names on http://127.0.0.1:")
    assert lines[1].startswith("registry 0x")
    assert lines[2] == "0 names\n"
    assert lines[3].startswith("fees are paid by 0x")
    assert out == "stopped\n"


def test_wrong_usage(tmp_path: Path) -> None:
    """Each mistake is named, with the status of its kind."""
    data = ("--data", str(tmp_path), "--port", "0")
    (tmp_path / "file").write_text("")
    for words, status, text in (
        (("--tls-key", "x"), Exit.USAGE, "belong together"),
        (("--tls-key", "x", "--tls-certificate", "y"), Exit.USAGE, "No such file"),
        (("--registry", "0x12"), Exit.USAGE, "ChainAddress"),
        (("--bind", "203.0.113.1"), Exit.UNAVAILABLE, "cannot listen"),
        (("--key", str(tmp_path / "missing")), None, "missing"),
        (("--chain", "nonsense"), None, "URL"),
    ):
        outcome = shoal("names", "serve", *data, *words)
        assert text in outcome.err, words
        assert outcome.status == status if status else outcome.status, (words, outcome.err)


def test_a_folder_in_use(tmp_path: Path) -> None:
    """The second server says so."""
    with serving(tmp_path):
        outcome = shoal("names", "serve", "--data", str(tmp_path), "--port", "0")
        assert outcome.status == Exit.UNAVAILABLE
        assert "hint" in outcome.err
