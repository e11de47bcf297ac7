"""The state on disk: atomic, private, and never a reason not to start."""

# ruff: noqa: ASYNC110 - what a test waits for is a file, and has no event

from __future__ import annotations

import asyncio
import logging
import os
import stat
from typing import TYPE_CHECKING

import pytest

from shoal.core import Address, Family, InfoHash
from shoal.dht.driver import DhtNode, files
from shoal.dht.driver.files import port_file, read_ports, read_state, write_atomic, write_ports
from shoal.dht.driver.persistence import Persistence
from shoal.dht.errors import NodeClosedError, StateFileError, UnsuitableKeyError
from shoal.dht.state import encode_state
from shoal.dht.value import Value
from tests.unit.dht.identities import ec_identity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    OpenNode = Callable[..., Awaitable[DhtNode]]

NODE_ID = InfoHash.of(b"node")


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until *condition* holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def test_what_is_written_is_whole_and_private(tmp_path: Path) -> None:
    """Nothing but the file is left, whatever was there before."""
    path = tmp_path / "state"
    write_atomic(path, b"old")
    path.chmod(0o644)
    write_atomic(path, b"new")

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the disk is full."""
    path = tmp_path / "state"
    write_atomic(path, b"old")

    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StateFileError, match="No space left"):
        write_atomic(path, b"new")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_leftover_of_a_crash_is_no_obstacle(tmp_path: Path) -> None:
    """A process with our id may have died while writing."""
    (tmp_path / f".state.{os.getpid()}.tmp").write_bytes(b"half")

    write_atomic(tmp_path / "state", b"new")

    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_missing_directory_is_an_error_that_names_it(tmp_path: Path) -> None:
    """Found out at the start, not at the end."""
    with pytest.raises(StateFileError, match="missing"):
        write_atomic(tmp_path / "missing" / "state", b"")


def test_no_file_is_no_state(tmp_path: Path) -> None:
    """The first run."""
    assert read_state(tmp_path / "state") is None
    assert read_ports(tmp_path / "state") == (0, 0)


def test_a_corrupt_file_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With a warning that says where it is now; a node must start after a disk error too."""
    path = tmp_path / "state"
    path.write_bytes(b"\xc1 garbage")

    assert read_state(path) is None

    assert "state.corrupt" in caplog.text
    assert (tmp_path / "state.corrupt").read_bytes() == b"\xc1 garbage"
    assert not path.exists()


def test_bad_entries_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The rest is taken."""
    good = encode_state(NODE_ID, [], [])
    (tmp_path / "state").write_bytes(good.replace(b"\xa5nodes\x90", b"\xa5nodes\x91\x07"))

    state = read_state(tmp_path / "state")

    assert state is not None
    assert state.node_id == NODE_ID
    assert "1 entries" in caplog.text


def test_what_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory in its place; a file far too large, or one that cannot be put aside."""
    with pytest.raises(StateFileError, match="cannot be read"):
        read_state(tmp_path)
    path = tmp_path / "state"
    path.write_bytes(b"\xc1")
    (tmp_path / "state.corrupt").mkdir()
    with pytest.raises(StateFileError, match="cannot be renamed"):
        read_state(path)
    monkeypatch.setattr(files, "STATE_SIZE_MAX", 0)
    with pytest.raises(StateFileError, match="larger"):
        read_state(path)


def test_ports_are_kept_beside_the_state(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Under the name that OpenDHT uses; nonsense in it costs a warning."""
    path = tmp_path / "state"
    write_ports(path, 4222, 4223)
    assert (tmp_path / "state_port.txt").read_text() == "4222\n4223\n"
    assert read_ports(path) == (4222, 4223)

    port_file(path).write_text("many")
    assert read_ports(path) == (0, 0)
    assert "ignored" in caplog.text


async def test_a_node_takes_up_where_it_left_off(open_node: OpenNode, tmp_path: Path) -> None:
    """Its id, its port, its neighbours and the values it stored."""
    peer = await open_node()
    first = await open_node(peer, state=tmp_path / "state")
    await first.wait_connected(10)
    await peer.bootstrap([("127.0.0.1", first.port)])
    await peer.wait_connected(10)
    await peer.put("key", Value(data=b"kept", id=3))
    await first.close()

    again = await open_node(state=tmp_path / "state")
    assert (again.node_id, again.bound) == (first.node_id, first.bound)
    assert again.stats().values == 1
    await again.wait_connected(10)  # by the neighbour it remembers: it was told no host
    assert [node_id for node_id, _ in again.nodes()] == [peer.node_id]


async def test_a_cache_of_dead_nodes_falls_back_to_bootstrap(
    open_node: OpenNode, tmp_path: Path
) -> None:
    """Everybody it knew is gone; whom it is told about is not."""
    dead = [(InfoHash.of(bytes([n])), Address.parse("127.0.0.1", n + 1)) for n in range(5)]
    write_atomic(tmp_path / "state", encode_state(NODE_ID, dead, []))
    peer = await open_node()

    node = await open_node(peer, state=tmp_path / "state")

    await node.wait_connected(20)
    assert node.node_id == NODE_ID


async def test_a_port_that_was_taken_meanwhile_is_given_up(
    open_node: OpenNode, tmp_path: Path
) -> None:
    """The remembered one is a wish; only a port that was asked for is a must."""
    other = await open_node()
    write_ports(tmp_path / "state", other.port, 0)

    node = await open_node(state=tmp_path / "state")

    assert node.port not in (0, other.port)


async def test_the_state_is_saved_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """So that a crash loses little; a full disk then costs a warning."""
    monkeypatch.setattr("shoal.dht.driver.persistence.SAVE_INTERVAL", 0.001)
    persistence = Persistence(tmp_path / "state")
    persistence.save_ports({Family.IPV4: 1})
    persistence.save_regularly(lambda: iter([b"sa", b"ved"]))
    await until((tmp_path / "state").exists)
    await persistence.close([b"last"])
    assert (tmp_path / "state").read_bytes() == b"last"

    lost = Persistence(tmp_path / "missing" / "state")
    lost.save_regularly(lambda: iter([b"sa", b"ved"]))
    caplog.set_level(logging.WARNING)
    await until(lambda: "not saved" in caplog.text)
    with pytest.raises(StateFileError):
        await lost.close([b"last"])


async def test_a_state_that_cannot_be_written_leaves_nothing_open(
    open_node: OpenNode, tmp_path: Path
) -> None:
    """The port is free again, and the loop watches no closed socket."""
    port = (await open_node()).port
    lost = DhtNode(bind=["127.0.0.1"], state=tmp_path / "missing" / "state")
    with pytest.raises(StateFileError, match="missing"):
        await lost.start()
    with pytest.raises(NodeClosedError):
        await lost.get("key")
    assert (await open_node()).port != port


async def test_an_identity_that_cannot_sign_values_is_refused(open_node: OpenNode) -> None:
    """Before the node is open, and without leaving a socket behind."""
    with pytest.raises(UnsuitableKeyError):
        await open_node(identity=ec_identity())
