"""Serving fetches: the other end of `shoal.swarm.fetching`.

Only the main branch is shown. The pack holds what the peer's `have` lines do not reach, as plain
objects: no deltas, nothing that is not in it or known to the peer. The protocol is read as a
stream, line by line or many in one packet; what a peer may send before it is answered is bounded.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import CommitId, DecodeError
from shoal.core.records import dataclass
from shoal.swarm.fetching import Send
from shoal.swarm.packs import write_pack
from shoal.swarm.pkt_line import FLUSH, SIDE_BAND_DATA_MAX, PktLineReader, encode
from shoal.swarm.trees import parse_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.core import ConversationId
    from shoal.swarm.history import Graph
    from shoal.swarm.store import GitStore

TREES_COMPARED: Final = 8  # ours: of the peer's latest commits; what older ones had is sent again
LINES_MAX: Final = 4_096  # ours: haves in one request; libgit2 sends 256
_CAPABILITIES: Final = b"side-band side-band-64k shallow no-progress include-tag"
_REQUEST: Final = re.compile(
    rb"git-upload-pack /?([0-9a-f]{40})\0(?:host=[^\0]*\0)?(.*)", re.DOTALL
)
_OID: Final = re.compile(rb"(want|have) ([0-9a-f]{40})(?: .*)?")
_FOLDER: Final = b"40000"


@dataclass(frozen=True, slots=True)
class SendPack:
    """Action: write the packets of `pieces`, waiting while the channel is full."""

    pieces: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Served:
    """Event: the peer has, or was given, all up to *head*."""

    head: CommitId


@dataclass(frozen=True, slots=True)
class ServeFailed:
    """Event: close the channel; what the peer said makes no sense."""

    reason: str


ServeEffect: TypeAlias = Send | SendPack | Served | ServeFailed


class _State(enum.Enum):
    REQUEST = enum.auto()
    WANTS = enum.auto()
    HAVES = enum.auto()
    OVER = enum.auto()


class ServeEngine:
    """One end of a channel that a peer opened to fetch; one fetch after the other may run."""

    def __init__(self, conversation: ConversationId, store: GitStore, graph: Graph) -> None:
        self._conversation = conversation
        self._store = store
        self._graph = graph
        self._lines = PktLineReader()
        self._state = _State.REQUEST
        self._wants: list[CommitId] = []
        self._haves: list[CommitId] = []
        self._count = 0
        self._head: CommitId | None = None

    def receive(self, data: bytes, now: float) -> list[ServeEffect]:
        """Take what the peer wrote."""
        if self._state is _State.OVER:
            return []
        effects: list[ServeEffect] = []
        try:
            for line in self._lines.feed(data):
                effects += self._take(line)
        except DecodeError as error:
            self._state = _State.OVER
            effects.append(ServeFailed(str(error)))
        return effects

    def _take(self, line: bytes | None) -> list[ServeEffect]:
        self._count += 1
        if self._count > LINES_MAX:
            raise DecodeError(f"more than {LINES_MAX} lines in one request")
        match self._state:
            case _State.REQUEST:
                return self._take_request(line)
            case _State.WANTS:
                return self._take_want(line)
            case _:
                return self._take_have(line)

    def _take_request(self, line: bytes | None) -> list[ServeEffect]:
        if line is None:
            self._count = 0
            return []  # the end of the fetch before
        found = _REQUEST.fullmatch(line)
        if found is None:
            raise DecodeError(f"not a request: {line[:120]!r}")
        if found[1] != str(self._conversation).encode():
            raise DecodeError("a request for another conversation")
        head = self._store.head
        if head is None:
            raise DecodeError("there is nothing to fetch yet")
        self._state, self._head = _State.WANTS, head
        self._wants, self._haves = [], []
        tip = str(head).encode()
        lines = [encode(tip + b" HEAD\0" + _CAPABILITIES + b"\n")]
        lines += [encode(tip + b" refs/heads/main\n"), FLUSH]
        if b"version=1" in found[2].split(b"\0"):
            lines.insert(0, encode(b"version 1\n"))
        return [Send(b"".join(lines))]

    def _take_want(self, line: bytes | None) -> list[ServeEffect]:
        if line is None:
            if self._wants:
                self._state = _State.HAVES
                return []
            assert self._head is not None
            self._reset()
            return [Served(self._head)]
        if line.startswith((b"shallow ", b"deepen ")):
            return []  # histories are given whole
        found = _OID.fullmatch(line.rstrip(b"\n"))
        if found is None or found[1] != b"want":
            raise DecodeError(f"not a want: {line[:120]!r}")
        want = CommitId.from_hex(found[2].decode())
        if want not in self._graph:
            raise DecodeError(f"a want of {want}, which is not here")
        self._wants.append(want)
        return []

    def _take_have(self, line: bytes | None) -> list[ServeEffect]:
        if line is None:
            return [Send(self._round())]
        text = line.rstrip(b"\n")
        if text == b"done":
            return self._answer()
        found = _OID.fullmatch(text)
        if found is None or found[1] != b"have":
            raise DecodeError(f"not a have: {line[:120]!r}")
        have = CommitId.from_hex(found[2].decode())
        if have in self._graph:
            self._haves.append(have)
        return []

    def _round(self) -> bytes:
        """Answer a batch of haves in between."""
        common = b"".join(
            encode(b"ACK %s continue\n" % str(have).encode()) for have in self._haves[:1]
        )
        return common + encode(b"NAK\n")

    def _answer(self) -> list[ServeEffect]:
        head, haves = self._wants[-1], tuple(self._haves)
        first = b"ACK %s\n" % str(haves[0]).encode() if haves else b"NAK\n"
        self._reset()
        return [Send(encode(first)), SendPack(self._pack(head, haves)), Served(head)]

    def _reset(self) -> None:
        self._state, self._count = _State.REQUEST, 0

    def _pack(self, head: CommitId, haves: tuple[CommitId, ...]) -> Iterator[bytes]:
        """Yield the side-band lines of a pack, each to be written whole."""
        objects = list(self._missing(head, haves))
        buffer = bytearray()
        for piece in write_pack(map(self._store.read, objects), len(objects)):
            buffer += piece
            while len(buffer) >= SIDE_BAND_DATA_MAX:
                yield encode(b"\1" + bytes(buffer[:SIDE_BAND_DATA_MAX]))
                del buffer[:SIDE_BAND_DATA_MAX]
        if buffer:
            yield encode(b"\1" + bytes(buffer))
        yield FLUSH

    def _missing(self, head: CommitId, haves: tuple[CommitId, ...]) -> Iterator[bytes]:
        """Yield the ids of what *head* reaches and *haves* do not, commits first."""
        commits = self._graph.since(head, haves)
        known = [self._graph[have].tree for have in haves]
        trees: set[bytes] = set()
        for commit in self._graph.linear(head, commits):
            yield commit
            trees.add(self._graph[commit].tree)
        trees.difference_update(known)
        seen: set[bytes] = set()
        for tree in dict.fromkeys(known[:TREES_COMPARED]) if trees else ():
            self._collect(tree, seen)
        before = set(seen)
        for tree in trees:
            self._collect(tree, seen)
        yield from sorted(seen - before)

    def _collect(self, tree: bytes, seen: set[bytes]) -> None:
        if tree in seen:
            return
        seen.add(tree)
        for mode, _, object_id in parse_tree(self._store.read(tree)[1]):
            if mode == _FOLDER:
                self._collect(object_id, seen)
            else:
                seen.add(object_id)
