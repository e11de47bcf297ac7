"""Two nodes on loopback that exchange files: whole, resumed, deleted, refused."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from typing import TYPE_CHECKING

import pytest

from shoal.node.driver import bus, files
from shoal.node.driver.api.client import LocalClient
from shoal.node.events import Lagged, TransferChanged
from shoal.swarm import FileOffer
from shoal.transfer.driver import read_copy
from shoal.transfer.effects import TransferState
from shoal.transfer.errors import FileMissingError, InvalidOfferError, NoSuchTransferError
from tests.unit.node.driver.conftest import PATIENCE, add_account, eventually
from tests.unit.node.driver.test_conversations import become_contacts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from shoal.core import CommitId
    from shoal.node import Account, Node
    from shoal.node.driver.conversations import Conversation, Message

    Pair = tuple[tuple[Node, Account], tuple[Node, Account]]

LARGE = 24 * 1024 * 1024  # bytes: more than is fetched without being asked for


async def heard(conversation: Conversation, message: CommitId) -> Message:
    """Wait until a message is here."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for each in await conversation.messages():
                if each.id == message:
                    return each
            await asyncio.sleep(0.01)


def state_of(account: Account, message: CommitId) -> TransferState | None:
    """Return where a download is; None if there is none."""
    return next((each.state for each in account.transfers.list() if each.id == message), None)


def write(path: Path, size: int) -> Path:
    """Write a file that holds nothing twice."""
    path.write_bytes(hashlib.shake_128(str(size).encode()).digest(size))
    return path


class Gate:
    """Reads copies as Shoal does, and stops in the middle until it is opened."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self.before = 0  # bytes that it lets through first

    def open(self) -> None:
        """Let the rest through."""
        self._opened.set()

    def read(self, path: Path, start: int, end: int, piece: int) -> Iterator[bytes]:
        """Yield what `read_copy` does; in a thread, which waits."""
        for data in read_copy(path, start, end, piece):
            yield data
            self.before += len(data) if not self._opened.is_set() else 0
            if self.before >= end // 2:
                self._opened.wait(PATIENCE)


async def test_a_large_file_is_fetched_when_asked_for(
    both: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes whole, under its name, with its progress among the events, however fast it comes."""
    (_, alice), (second, bob) = both
    gate = Gate()
    monkeypatch.setattr(files, "read_copy", gate.read)
    ours, theirs = await become_contacts(alice, bob)
    source = write(tmp_path / "large film.bin", LARGE)
    with second.events() as events:
        sent = await ours.send_file(source)
        message = await heard(theirs, sent.id)
        assert isinstance(message.content, FileOffer)
        assert message.content.display_name == "large film.bin"
        assert message.content.size == LARGE
        assert not bob.transfers.list()  # nobody asked for it yet
        transfer = await theirs.download(message, folder=tmp_path / "here")
        try:
            await eventually(lambda: LARGE // 2 <= bob.transfers[sent.id].done == gate.before)
            half_at, interval = bob.files.now, bob.files.engine.config.progress_interval
            await eventually(lambda: bob.files.now - half_at > interval)  # the next is told
        finally:
            gate.open()
        async with asyncio.timeout(PATIENCE):
            done = await bob.transfers.wait(transfer.id)
        assert done.path == str(tmp_path / "here" / "large film.bin")
        assert (tmp_path / "here" / "large film.bin").read_bytes() == source.read_bytes()
        assert [path.name for path in (tmp_path / "here").iterdir()] == ["large film.bin"]
        states = []
        async for numbered in events:
            assert not isinstance(numbered, Lagged)
            if isinstance(event := numbered.event, TransferChanged):
                states.append(event.transfer)
                if event.transfer.is_over:
                    break
    assert any(0 < each.done < LARGE and each.rate for each in states)
    assert states[-1].state is TransferState.DONE
    await eventually(lambda: alice.files.engine.serving.stats.served == 1)
    again = await theirs.download(message)
    assert again.state is TransferState.DONE
    assert again.path == done.path


async def test_a_small_file_comes_unasked_and_goes_when_deleted(both: Pair, tmp_path: Path) -> None:
    """One byte comes by itself; deleting the message deletes the copy, and not the original."""
    (_, alice), (_, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    source = write(tmp_path / "dot.txt", 1)
    sent = await ours.send_file(source, name="../../dot.txt")
    await heard(theirs, sent.id)
    await eventually(lambda: any(each.id == sent.id for each in bob.transfers.list()))
    async with asyncio.timeout(PATIENCE):
        done = await bob.transfers.wait(sent.id)
    path = await bob.transfers.path(theirs.id, sent.id)
    assert path is not None
    assert str(path) == done.path
    assert path.name == "dot.txt"
    assert path.read_bytes() == source.read_bytes()

    await ours.delete(sent.id)
    await eventually(lambda: not path.exists())
    assert source.exists()
    assert await alice.transfers.path(ours.id, sent.id) is None
    with pytest.raises(NoSuchTransferError):
        await bob.transfers.cancel(sent.id)


async def test_a_follower_that_missed_the_end(
    both: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is told only that events were dropped looks, and does not wait for ever."""
    (_, alice), (second, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    sent = await ours.send_file(write(tmp_path / "film.bin", LARGE))
    await heard(theirs, sent.id)
    monkeypatch.setattr(bus, "QUEUE_MAX", 0)
    async with asyncio.timeout(PATIENCE):
        done = await LocalClient(second).call(
            "file.get",
            account=bob.id.hex(),
            conversation=str(theirs.id),
            message=str(sent.id),
            folder=str(tmp_path / "here"),
        )
    assert done["state"] == "done"
    assert (tmp_path / "here" / "film.bin").stat().st_size == LARGE


async def test_offers_among_events_that_were_dropped(
    both: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was offered, taken back or left meanwhile is looked up."""
    (_, alice), (_, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    monkeypatch.setattr(bus, "QUEUE_MAX", 0)
    sent = await ours.send_file(write(tmp_path / "dot.txt", 1))
    await eventually(lambda: state_of(bob, sent.id) is TransferState.DONE)
    path = await bob.transfers.path(theirs.id, sent.id)
    assert path is not None
    await ours.delete(sent.id)
    await eventually(lambda: not path.exists())
    last = await ours.send_file(write(tmp_path / "last.txt", 2))
    await eventually(lambda: bob.files.engine.serving.find(theirs.id, last.id) is not None)
    await theirs.leave()
    await eventually(lambda: not bob.files.engine.involved())


async def test_from_whoever_has_it(
    both: Pair, open_node: Callable[..., Awaitable[Node]], tmp_path: Path
) -> None:
    """The sender is gone; another member's device that has fetched the file gives it on."""
    (first, alice), (second, bob) = both
    ours, theirs = await become_contacts(alice, bob)
    source = write(tmp_path / "film.bin", LARGE)
    sent = await ours.send_file(source)
    await heard(theirs, sent.id)
    await theirs.download(sent.id, folder=tmp_path / "bob")
    async with asyncio.timeout(PATIENCE):
        await bob.transfers.wait(sent.id)
    third = await open_node(second)
    phone = await add_account(third, "bob")
    await eventually(lambda: any(each.is_ready for each in phone.conversations.list()))
    await first.close()
    source.unlink()

    (mine,) = phone.conversations.list()
    await mine.download(sent.id, folder=tmp_path / "phone")
    async with asyncio.timeout(PATIENCE):
        done = await phone.transfers.wait(sent.id)
    copy = tmp_path / "bob" / "film.bin"
    assert (tmp_path / "phone" / "film.bin").read_bytes() == copy.read_bytes()
    assert done.device == bob.device_id
    assert bob.files.engine.serving.stats.served == 1


async def test_what_cannot_be(both: Pair, tmp_path: Path) -> None:
    """No file, no message, no offer: each has an error of its own."""
    (_, alice), (_, bob) = both
    ours, _ = await become_contacts(alice, bob)
    with pytest.raises(FileMissingError):
        await ours.send_file(tmp_path / "nothing")
    said = await ours.send("no file")
    with pytest.raises(InvalidOfferError):
        await ours.download(said)
    with pytest.raises(NoSuchTransferError):
        await alice.transfers.pause(said.id)
    with pytest.raises(NoSuchTransferError):
        await alice.transfers.wait(said.id)
