"""Files between Shoal and both generations of Jami: one byte, 50 MB, resumed, deleted.

One conversation per generation, and one large file per direction, both of which lose their sender
in the middle: what they show is told apart by the asserts.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from shoal.core import AccountId, CommitId
from shoal.node.events import TransferChanged
from shoal.swarm import FileOffer
from shoal.swarm.roles import Role
from shoal.transfer import FileId
from shoal.transfer.effects import Direction, TransferState
from tests.peers.jami import JamiAccount
from tests.peers.town import GENERATIONS, NEW
from tests.peers.waiting import until

if TYPE_CHECKING:
    from shoal.node import Account
    from shoal.node.driver.conversations import Conversation, Message
    from tests.peers.shoal_node import ShoalHost
    from tests.peers.town import Town

PATIENCE: Final = 90.0  # seconds, on a busy machine
LARGE: Final = 50_000_000  # bytes
FAR_ENOUGH: Final = 4_000_000  # bytes after which a sender is killed
CHUNK: Final = 65_535  # bytes of a frame: what may be lost when a sender is killed is a few
FINISHED: Final = 6  # libjami::DataTransferEventCode


def write(path: Path, size: int) -> Path:
    """Write a file that holds nothing twice."""
    path.write_bytes(hashlib.shake_128(path.name.encode()).digest(size))
    return path


class Meeting:
    """A conversation of ours with one of Jami, and both sides' files."""

    def __init__(self, town: Town, kind: str, folder: Path) -> None:
        self.town = town
        self.kind = kind
        self.folder = folder
        daemon = town.jami(kind)
        self.theirs = JamiAccount(daemon, daemon.add_account(town.bootstrap))
        self.ours = town.shoal()
        self.account: Account = self.ours.create("Ada")
        daemon.wait_announced(self.theirs.name)
        self.uri = self.theirs.uri
        self.ours.run(self.account.contacts.add(self.uri))
        daemon.wait_request(self.theirs.name, self.account.id.hex())
        assert daemon.accept(self.theirs.name, self.account.id.hex())
        contact = self.account.contacts.get(self.uri)
        assert contact is not None
        self.id = contact.conversation_id
        until(
            lambda: self.conversation.members.get(AccountId.from_hex(self.uri)) is Role.MEMBER,
            "Jami in the conversation",
            PATIENCE,
        )

    @property
    def conversation(self) -> Conversation:
        """Ours."""
        return self.account.conversations[self.id]

    def restart_us(self) -> None:
        """Stop our node in the middle of what it does, and start it again."""
        self.ours.close()
        home, at = self.ours.home, self.ours.namespace
        self.ours = self.town.keep(type(self.ours)(at, home, bootstrap=self.town.bootstrap))
        (self.account,) = self.ours.node.accounts
        self.ours.run(self.account.wait_announced(PATIENCE))

    def restart_them(self) -> None:
        """Kill the daemon, and start it again."""
        self.theirs = JamiAccount(self.town.again(self.theirs.daemon), self.theirs.name)

    def offers(self) -> list[Message]:
        """All files that are offered, as we see it."""
        messages = self.ours.run(self.conversation.messages(1_000))
        return [each for each in messages if isinstance(each.content, FileOffer)]

    def they_send(self, path: Path) -> Message:
        """Jami offers a file; return its message, once it is here."""
        daemon, name = self.theirs.daemon, self.theirs.name
        daemon.call("sendFile", name, self.id, str(path), "", "")
        return until(
            lambda: next(
                (
                    each
                    for each in self.offers()
                    if isinstance(each.content, FileOffer)
                    and each.content.display_name == path.name
                ),
                None,
            ),
            f"the offer of {path.name}",
            PATIENCE,
        )

    def they_have(self, message: CommitId) -> bool:
        """Whether Jami has a message."""
        names = ("messageReceived", "swarmMessageReceived")
        return any(
            str(message) in str(signal.body)
            for name in names
            for signal in self.theirs.daemon.announced(name)
        )

    def they_fetch(self, message: Message, path: Path) -> None:
        """Jami begins to fetch a file."""
        until(lambda: self.they_have(message.id), "our offer at Jami", PATIENCE)
        content = message.content
        assert isinstance(content, FileOffer)
        file = FileId.of(message.id, content.transfer_id, content.display_name)
        daemon, name = self.theirs.daemon, self.theirs.name
        daemon.call("downloadFile", name, self.id, str(message.id), str(file), str(path))

    def wait_fetched(self, message: CommitId) -> None:
        """Wait until Jami says that a file is whole."""
        until(
            lambda: any(
                str(message) in signal.body and signal.body[-1] == FINISHED
                for signal in self.theirs.daemon.announced("dataTransferEvent")
            ),
            "the file at Jami",
            2 * PATIENCE,
        )

    def size_of(self, path: Path) -> int:
        """How much Jami has of a file: 2026 writes beside it what is not whole."""
        part = path.with_name(f"{path.name}.tmp") if self.kind == NEW else path
        return part.stat().st_size if part.exists() else 0

    def wait_done(self, message: CommitId) -> Path:
        """Wait until we have a file; return where it is."""

        def path() -> Path | None:
            transfers = self.ours.do(self.account.transfers.list)
            found = next((each for each in transfers if each.id == message), None)
            is_done = found is not None and found.state is TransferState.DONE
            return Path(found.path) if found is not None and is_done else None

        return until(path, "the file", 2 * PATIENCE)


@pytest.fixture(params=GENERATIONS)
def meeting(request: pytest.FixtureRequest, town: Town, tmp_path: Path) -> Meeting:
    """A conversation with one generation."""
    return Meeting(town, request.param, tmp_path)


def uploads(host: ShoalHost, message: CommitId) -> list[Any]:
    """What our node has told about sending a file."""
    told = (each.transfer for each in host.heard(TransferChanged))
    return [each for each in told if each.id == message and each.direction is Direction.UP]


def test_files(meeting: Meeting) -> None:
    """One byte and 50 MB each way; each large one is resumed where its sender was killed."""
    here = meeting.folder
    run = meeting.ours.run

    # One byte, ours.
    dot = run(meeting.conversation.send_file(write(here / "dot.txt", 1)))
    meeting.they_fetch(dot, here / "dot at Jami.txt")
    meeting.wait_fetched(dot.id)
    assert (here / "dot at Jami.txt").read_bytes() == (here / "dot.txt").read_bytes()

    # One byte, theirs: it comes unasked.
    theirs = meeting.they_send(write(here / "their dot.txt", 1))
    assert meeting.wait_done(theirs.id).read_bytes() == (here / "their dot.txt").read_bytes()

    they_are_killed(meeting, here)
    we_are_killed(meeting, here)

    # A file that is taken back is gone here; 13.7 only shows that it was.
    run = meeting.ours.run
    deletion = run(meeting.conversation.delete(dot.id))
    assert deletion.content == FileOffer("", edited=dot.id)
    assert run(meeting.account.transfers.path(meeting.conversation.id, dot.id)) is None


def they_are_killed(meeting: Meeting, here: Path) -> None:
    """Their large file: they are killed while they send; we go on where they were."""
    source = write(here / "their film.bin", LARGE)
    message = meeting.they_send(source)
    run = meeting.ours.run
    run(meeting.conversation.download(message, folder=here / "here"))

    def done() -> int:
        return meeting.ours.do(lambda: meeting.account.transfers[message.id].done)

    until(lambda: done() > FAR_ENOUGH, "enough of their film", PATIENCE)
    meeting.restart_them()
    kept = done()
    assert kept < LARGE, "it was fast"
    assert meeting.wait_done(message.id) == here / "here" / source.name
    assert (here / "here" / source.name).read_bytes() == source.read_bytes()
    received = meeting.ours.do(lambda: meeting.account.files.engine.stats.bytes_received)
    assert received < LARGE + 2 * CHUNK  # nothing came twice


def we_are_killed(meeting: Meeting, here: Path) -> None:
    """Our large file: our node stops while it sends; they go on where they were."""
    source = write(here / "our film.bin", LARGE)
    message = meeting.ours.run(meeting.conversation.send_file(source))
    target = here / "our film at Jami.bin"
    meeting.they_fetch(message, target)
    until(lambda: meeting.size_of(target) > FAR_ENOUGH, "enough of our film", PATIENCE)
    meeting.restart_us()
    assert meeting.size_of(target) < LARGE, "it was fast"
    # They ask again when they have synced with us, which news make them do.
    meeting.ours.run(meeting.conversation.send("here again"))
    meeting.wait_fetched(message.id)
    assert target.read_bytes() == source.read_bytes()
    first = uploads(meeting.ours, message.id)[0]
    assert first.done > FAR_ENOUGH  # where they asked us to go on
