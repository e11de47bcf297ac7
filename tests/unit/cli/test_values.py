"""`shoal dht put`, `get`, `listen` and `query`, against a node on loopback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from shoal.cli.common import Exit
from shoal.crypto.driver import save_identity
from tests.unit.cli.conftest import NETWORK, Peer, shoal
from tests.unit.dht.identities import identity

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_put_is_got(peer: Peer) -> None:
    """Text, as text."""
    put = shoal("dht", "put", "harbour", "the tide is turning", peer=peer)
    assert (put.status, put.err) == (0, "")
    assert put.out.startswith("stored as value ")
    assert put.out.endswith("on 1 node\n")

    got = shoal("dht", "get", "harbour", peer=peer)
    assert (got.status, got.out) == (0, "the tide is turning\n")


def test_files_and_bytes_survive(peer: Peer, tmp_path: Path) -> None:
    """A file in, the same bytes out; a terminal is shown hex instead."""
    content = bytes(range(256)) * 200
    (tmp_path / "file").write_bytes(content)
    assert shoal("dht", "put", "f", "--file", str(tmp_path / "file"), peer=peer).status == 0
    assert shoal("dht", "put", "g", "--file", "-", peer=peer, stdin=b"\x00\x01").status == 0

    shown = shoal("dht", "get", "f", peer=peer)
    assert shown.out.startswith("51200 bytes: 000102")
    assert shown.out.endswith("…\n")
    (value,) = peer.do(_get(peer, "g"))
    assert value.data == b"\x00\x01"
    assert shoal("dht", "get", "g", "--raw", peer=peer).out == "\x00\x01"


async def _get(peer: Peer, key: str) -> list[object]:
    return list(await peer.node.get(key))


def test_json_has_everything(peer: Peer) -> None:
    """One object per line, the last one being the sum."""
    options = ("--id", "7", "--type", "3", "--user-type", "chat", "--json")
    stored = shoal("dht", "put", "k", "text", *options, peer=peer)
    assert stored.events == [
        {"event": "stored", "key": "k", "id": "7", "nodes": 1, "is_only_here": False}
    ]

    got = shoal("dht", "get", "k", "--json", peer=peer).events
    assert got[0]["event"] == "value"
    assert (got[0]["id"], got[0]["type"], got[0]["utype"]) == ("7", 3, "chat")
    assert (got[0]["data"], got[0]["text"]) == ("dGV4dA==", "text")
    assert got[1] == {"event": "done", "values": 1, "nodes": 1}


def test_long_shows_what_a_value_is(peer: Peer) -> None:
    """In a line before it."""
    shoal("dht", "put", "k", "text", "--id", "7", "--user-type", "chat", peer=peer)

    got = shoal("dht", "get", "k", "--long", peer=peer)

    assert got.out == "id 7, type 0, 4 bytes, chat\ntext\n"


def test_what_nodes_send_cannot_control_a_terminal(peer: Peer) -> None:
    """Escape sequences are shown as bytes."""
    shoal("dht", "put", "k", "\x1b[2Jgone", peer=peer)

    assert shoal("dht", "get", "k", peer=peer).out == "8 bytes: 1b5b324a676f6e65\n"


def test_nothing_found_is_status_1(peer: Peer) -> None:
    """And said on stderr alone."""
    got = shoal("dht", "get", "nothing", peer=peer)

    assert (got.status, got.out) == (1, "")
    assert got.err == "nothing found at nothing\n"
    assert shoal("dht", "query", "nothing", "SELECT id", peer=peer).status == 1


def test_where_and_query_select(peer: Peer) -> None:
    """The words of a query need no quotes."""
    shoal("dht", "put", "k", "one", "--id", "1", "--user-type", "a", peer=peer)
    shoal("dht", "put", "k", "two", "--id", "2", "--user-type", "b", peer=peer)

    assert shoal("dht", "get", "k", "--where", "user_type=b", peer=peer).out == "two\n"
    rows = shoal("dht", "query", "k", "SELECT", "id,user_type", "WHERE", "id=1", peer=peer)
    assert rows.out == "id=1  user_type=a\n"
    as_json = shoal("dht", "query", "k", "SELECT seq WHERE id=1", "--json", peer=peer)
    assert as_json.events[0] == {"event": "row", "seq": 0}


def test_listen_ends_by_count_or_time(peer: Peer) -> None:
    """With events the status is 0, without 1."""
    shoal("dht", "put", "k", "one", peer=peer)

    seen = shoal("dht", "listen", "k", "--count", "1", peer=peer)
    assert (seen.status, seen.out) == (0, "+ one\n")
    silent = shoal("dht", "listen", "other", "--timeout", "0.5", peer=peer)
    assert (silent.status, silent.out) == (1, "")
    events = shoal("dht", "listen", "k", "--count", "1", "--json", peer=peer).events
    assert [event["event"] for event in events] == ["added"]


def test_a_refused_put_is_status_4(peer: Peer) -> None:
    """Asked to confirm, it says that another value is there, and what to do."""
    shoal("dht", "put", "k", "first", "--id", "5", peer=peer)

    refused = shoal("dht", "put", "k", "second", "--id", "5", "--confirm", peer=peer)

    assert (refused.status, refused.out) == (4, "")
    assert "Choose another id" in refused.err


def test_too_large_is_status_4(tmp_path: Path) -> None:
    """Before anything is sent."""
    (tmp_path / "file").write_bytes(bytes(65_537))

    refused = shoal("dht", "put", "k", "--file", str(tmp_path / "file"), "--network", "5")

    assert refused.status == 4
    assert "larger than 65536 bytes\nhint: Put it in parts" in refused.err


def test_not_connected_is_status_3() -> None:
    """With what to check."""
    words = ("--network", "5", "--bootstrap", "127.0.0.1:1", "--no-ipv6", "--timeout", "0.3")
    failed = shoal("dht", "get", "k", *words)

    assert failed.status == 3
    assert "network 5" in failed.err
    assert "hint: Check the network" in failed.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("put", "k"), "either a TEXT or --file"),
        (("put", "k", "text", "--file", "x"), "either a TEXT or --file"),
        (("put", "k", "--file", "/nonexistent"), "cannot read"),
        (("put", "k", "x", "--encrypt", "ab", "--bootstrap", "127.0.0.1:1"), "40 or 64 hex"),
        (("get", "k", "--network", "5"), "name a node of it with --bootstrap"),
        (("get", "k", "--bootstrap", "a b"), "HOST:PORT"),
        (("get", "k", "--timeout", "0"), "--timeout"),
        (("query", "k"), "QUERY"),
    ],
)
def test_wrong_usage_is_status_2(words: tuple[str, ...], told: str) -> None:
    """And names what is wrong."""
    failed = shoal("dht", *words)

    assert failed.status == 2
    assert told in failed.err


def test_an_empty_key_and_a_bad_query_are_wrong_usage(peer: Peer) -> None:
    """Both are found out by the library."""
    assert shoal("dht", "get", "", peer=peer).status == 2
    assert shoal("dht", "query", "k", "SELECT colour", peer=peer).status == 2
    assert shoal("dht", "get", "k", "--where", "id", peer=peer).status == 2


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Identities of Alice and Bob, as `--identity` takes them."""
    for name in ("alice", "bob"):
        save_identity(identity(name), tmp_path / name)
    return {name: str(tmp_path / name) for name in ("alice", "bob")}


def test_signed_values_show_their_owner(peer: Peer, files: dict[str, str]) -> None:
    """And are edited by putting the same id again."""
    words = ("put", "page", "--id", "4", "--sign", "--identity", files["alice"])
    assert shoal("dht", *words, "draft", peer=peer).status == 0
    assert shoal("dht", *words, "final", peer=peer).status == 0

    got = shoal("dht", "get", "page", "--long", peer=peer)

    assert got.out == (f"id 4, type 0, 5 bytes, signed by {identity('alice').id}, seq 1\nfinal\n")


def test_encrypted_values_are_shown_to_their_reader(peer: Peer, files: dict[str, str]) -> None:
    """The reader's certificate is found in the network, where a node of his put it."""
    own = ("--identity", files["alice"], "--encrypt", str(identity("bob").long_id))
    nobody = shoal("dht", "put", "letter", "for bob", *own, peer=peer)
    assert nobody.status == 1
    assert "certificate" in nobody.err

    shoal("dht", "get", "x", "--identity", files["bob"], peer=peer)  # publishes it in passing
    assert shoal("dht", "put", "letter", "for bob", *own, peer=peer).status == 0
    reader = ("--identity", files["bob"])
    assert shoal("dht", "get", "letter", *reader, peer=peer).out == "for bob\n"
    assert shoal("dht", "get", "letter", peer=peer).status == 1


def test_signing_needs_an_identity(peer: Peer) -> None:
    """And says how to give one."""
    failed = shoal("dht", "put", "k", "x", "--sign", peer=peer)
    assert failed.status == 2
    assert "identity" in failed.err


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.TERMINATED)],
)
def test_a_permanent_put_stays_until_it_is_stopped(
    peer: Peer, number: signal.Signals, status: Exit
) -> None:
    """By Ctrl-C or SIGTERM, each with its own status; others keep the value for its life."""
    process = subprocess.Popen(  # noqa: S603 - our own
        [
            *(sys.executable, "-m", "shoal", "dht", "put", "k", "kept", "--permanent", "--json"),
            *("--network", str(NETWORK), "--bootstrap", peer.host, "--no-ipv6"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline())["nodes"] == 1
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()

    assert (process.returncode, out) == (status, "")
    assert err == "renewing it until stopped (Ctrl-C)\n"
    assert shoal("dht", "get", "k", peer=peer).out == "kept\n"
