r"""Fetching from a peer: git's upload-pack protocol, version 0, as Jami's server speaks it.

    >  git-upload-pack /CONVERSATION\0host=DEVICE\0
    <  ID HEAD\0CAPABILITIES\n  ID refs/heads/main\n  …  0000
    >  want ID side-band-64k\n  0000  have ID\n …  done\n          or only 0000: nothing new
    <  ACK ID\n  or  NAK\n
    <  1PACK…  in lines of band 1  …  0000
    >  0000

Whole groups of lines leave in one packet: Debian's Jami cannot read a line that is cut.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import CommitId, ConversationId, DecodeError, DeviceId
from shoal.core.records import dataclass
from shoal.swarm.errors import HistoryTooLargeError
from shoal.swarm.packs import PackReader
from shoal.swarm.pkt_line import FLUSH, PktLineReader, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.swarm.store import GitStore, ObjectKind

HAVES_MAX: Final = 256  # libgit2's; 50 bytes each, so that the request is one packet
REFS_MAX: Final = 10_000  # ours: Jami names one per device that it fetched from, and we use one
IDLE_LINES_MAX: Final = 10_000  # ours: that bring no bytes of the pack; progress, mostly
_MAIN: Final = (b"HEAD", b"refs/heads/main")
_WANTED: Final = b"side-band-64k"
_LINE_MAX: Final = 4_096  # ours: of a reference's line
_DATA_BAND: Final = 1
_PROGRESS_BAND: Final = 2


@dataclass(frozen=True, slots=True)
class Send:
    """Action: write *data* to the channel as one packet."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ObjectsArrived:
    """Action: keep these objects; no later effect runs before they are kept."""

    objects: tuple[tuple[ObjectKind, bytes], ...]


@dataclass(frozen=True, slots=True)
class Fetched:
    """Event: the fetch ended well; *head* is the peer's, and all that it reaches is here."""

    head: CommitId
    is_new: bool


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """Event: the fetch ended; the channel is of no more use. Was it the peer's doing?"""

    reason: str
    is_peers_fault: bool = False


FetchEffect: TypeAlias = Send | ObjectsArrived | Fetched | FetchFailed


class _State(enum.Enum):
    IDLE = enum.auto()
    REFS = enum.auto()  # the peer lists its references
    ANSWER = enum.auto()  # ACK or NAK
    PACK = enum.auto()
    OVER = enum.auto()


class FetchEngine:
    """One end of a channel that we opened to fetch; one fetch after the other may run on it."""

    def __init__(self, conversation: ConversationId, host: DeviceId, store: GitStore) -> None:
        self._request = encode(f"git-upload-pack /{conversation}\0host={host}\0".encode())
        self._state = _State.IDLE
        self._lines = PktLineReader()
        self._store = store
        self._pack = PackReader(self._find)
        self._head: CommitId | None = None
        self._refs = 0
        self._idle_lines = 0
        self._contains: Callable[[CommitId], bool] = lambda commit: False
        self._haves: Sequence[CommitId] = ()

    @property
    def is_busy(self) -> bool:
        """Whether a fetch is under way."""
        return self._state not in (_State.IDLE, _State.OVER)

    def fetch(
        self, haves: Sequence[CommitId], contains: Callable[[CommitId], bool], now: float
    ) -> list[FetchEffect]:
        """Ask for what the peer has.

        *haves* are our latest commits, newest first; *contains* says whether a commit was taken.
        """
        assert self._state is _State.IDLE, "one fetch at a time"
        self._haves, self._contains = haves[:HAVES_MAX], contains
        self._state = _State.REFS
        self._head, self._refs, self._pack = None, 0, PackReader(self._find)
        self._idle_lines = 0
        return [Send(self._request)]

    def receive(self, data: bytes, now: float) -> list[FetchEffect]:
        """Take what the peer wrote."""
        if self._state is _State.OVER:
            return []
        try:
            effects: list[FetchEffect] = []
            for line in self._lines.feed(data):
                effects += self._take(line)
        except (DecodeError, HistoryTooLargeError) as error:
            self._state = _State.OVER
            return [FetchFailed(str(error), is_peers_fault=True)]
        return effects

    def receive_eof(self, now: float) -> list[FetchEffect]:
        """The peer closed the channel."""
        if not self.is_busy:
            self._state = _State.OVER
            return []
        return self._fail("the peer closed the channel before the fetch ended")

    def _find(self, object_id: bytes) -> tuple[ObjectKind, bytes] | None:
        return self._store.read(object_id) if self._store.contains(object_id) else None

    def _fail(self, reason: str) -> list[FetchEffect]:
        self._state = _State.OVER
        return [FetchFailed(reason)]

    def _take(self, line: bytes | None) -> list[FetchEffect]:
        match self._state:
            case _State.REFS:
                return self._take_ref(line)
            case _State.ANSWER:
                return self._take_answer(line)
            case _State.PACK:
                return self._take_pack(line)
            case _:
                raise DecodeError("a line that nobody asked for")

    def _take_ref(self, line: bytes | None) -> list[FetchEffect]:
        if line is None:
            return self._ask()
        self._refs += 1
        if self._refs > REFS_MAX or len(line) > _LINE_MAX:
            raise DecodeError("an endless list of references")
        commit, _, name = line.partition(b"\0")[0].rstrip(b"\n").partition(b" ")
        # What else the peer lists are its notes about its own peers.
        if name in _MAIN and self._head is None:
            self._head = CommitId.from_hex(commit.decode("ascii", errors="replace"))
        return []

    def _ask(self) -> list[FetchEffect]:
        if self._head is None:
            raise DecodeError("a repository without a main branch")
        if self._contains(self._head):
            self._state = _State.IDLE
            return [Send(FLUSH), Fetched(self._head, is_new=False)]
        self._state = _State.ANSWER
        want = encode(b"want %s %s \n" % (str(self._head).encode(), _WANTED))
        haves = [encode(b"have %s\n" % str(commit).encode()) for commit in self._haves]
        return [Send(b"".join([want, FLUSH, *haves, encode(b"done\n")]))]

    def _take_answer(self, line: bytes | None) -> list[FetchEffect]:
        if line is not None and line.startswith((b"ACK ", b"NAK")):
            if line.rstrip(b"\n").endswith((b" continue", b" common", b" ready")):
                self._count_idle()
                return []  # not asked for, but harmless: the last one follows
            self._state = _State.PACK
            return []
        if line is not None and line.startswith(b"ERR "):
            raise DecodeError(f"the peer refuses: {line[4:200].decode(errors='replace').strip()}")
        raise DecodeError("neither ACK nor NAK")

    def _take_pack(self, line: bytes | None) -> list[FetchEffect]:
        if line is None:
            return self._finish()
        if len(line) <= 1 or line[:1] != bytes((_DATA_BAND,)):
            self._count_idle()
        if line.startswith((b"ACK ", b"NAK")):
            return []  # one for each round of haves
        band, data = line[:1], line[1:]
        if band == bytes((_PROGRESS_BAND,)):
            return []
        if band != bytes((_DATA_BAND,)):
            raise DecodeError(f"the peer gave up: {data[:200].decode(errors='replace').strip()}")
        found = self._pack.feed(data)
        return [ObjectsArrived(tuple(found))] if found else []

    def _count_idle(self) -> None:
        self._idle_lines += 1
        if self._idle_lines > IDLE_LINES_MAX:
            raise DecodeError("endless lines that bring nothing")

    def _finish(self) -> list[FetchEffect]:
        if not self._pack.is_complete:
            raise DecodeError("the pack ends early")
        assert self._head is not None
        self._state = _State.IDLE
        return [Send(FLUSH), Fetched(self._head, is_new=True)]
