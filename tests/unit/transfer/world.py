"""A world for one transfer engine: peers with bad habits, a disk, crashes, virtual time."""

from __future__ import annotations

import hashlib
import heapq
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shoal.core import CommitId, ConversationId, DeviceId, Persist
from shoal.transfer import effects as fx
from shoal.transfer.channel_wire import FileRequest, parse_name
from shoal.transfer.config import TransferConfig
from shoal.transfer.engine import TransferEngine
from shoal.transfer.errors import DiskFullError
from shoal.transfer.records import WANTED_NAME, HeldFile, Stamp, WantedFile, unpack_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shoal.transfer.effects import Effect, Transfer

OWN: Final = DeviceId(bytes(32))
CONVERSATION: Final = ConversationId(b"c" * 20)
CHUNK: Final = 1_000  # bytes of a packet here
TICK: Final = 0.05  # seconds between two packets
LATENCY: Final = 0.2  # seconds until a channel is open


def device(number: int) -> DeviceId:
    """Return the id of a peer's device."""
    return DeviceId(bytes([number]) * 32)


@dataclass(frozen=True)
class Peer:
    """What a peer does when it is asked for a file.

    Attributes:
        habit: `honest`, `declines`, `silent`, `short`, `wrong`, `long`, `slow`, `stalls`, `empty`.
        amount: after how many bytes, where that matters.
    """

    habit: str
    amount: int = 0

    def sends(  # noqa: PLR0911 - one arm per habit
        self, content: bytes, start: int
    ) -> tuple[bytes, bool]:
        """Return what it sends from *start* on, and whether it then closes the channel."""
        rest = content[start:]
        match self.habit:
            case "short":
                return rest[: self.amount], True
            case "wrong":
                return bytes(byte ^ 0xFF for byte in rest), True
            case "wrong and short":
                return bytes(byte ^ 0xFF for byte in rest[: self.amount]), True
            case "long":
                return rest + b"more" * 10_000, True
            case "long and wrong":
                return b"x" * (len(rest) + 100_000), True
            case "stalls":
                return rest[: self.amount], False
            case "empty":
                return b"", True
            case _:
                return rest, True


@dataclass
class _Channel:
    device: DeviceId
    is_open: bool = True


class World:
    """Plays the host of an engine."""

    def __init__(
        self, content: bytes, peers: dict[DeviceId, Peer], config: TransferConfig | None = None
    ) -> None:
        self.now = 0.0
        self.content = content
        self.peers = dict(peers)
        self.online = list(peers)
        self.config = config or TransferConfig()
        self.disk: dict[CommitId, bytearray] = {}
        self.whole: dict[CommitId, bytes] = {}
        self.disk_size_max = 1 << 60
        self.persisted = b""
        self.starts: list[tuple[DeviceId, int]] = []
        self.told: list[Transfer] = []
        self.sent = 0  # bytes that peers have sent and the engine took
        self._open: dict[CommitId, WantedFile] = {}
        self._channels: dict[int, _Channel] = {}
        self._numbers = itertools.count(1)
        self._events: list[tuple[float, int, int, Callable[[], Sequence[Effect]]]] = []
        self._life = 0
        self.engine = TransferEngine(OWN, self.config)

    # What a test does

    def wanted(self, commit: CommitId, *, size: int | None = None) -> WantedFile:
        """Describe the world's file as *commit* offers it."""
        sha3 = hashlib.sha3_512(self.content).hexdigest()
        size = len(self.content) if size is None else size
        return WantedFile(CONVERSATION, commit, "77", "a.bin", "bin", size, sha3, "/files")

    def do(self, command: Callable[[float], Sequence[Effect]]) -> None:
        """Give the engine something."""
        self._apply(command(self.now))

    def crash(self) -> None:
        """Lose everything but the disk, and start again."""
        self._life += 1
        self._events.clear()
        self._channels.clear()
        self._open.clear()
        self.engine = TransferEngine(OWN, self.config, wanted=unpack_wanted(self.persisted))
        self._apply(self.engine.start(self.now))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while True:
            moments = [self._events[0][0]] if self._events else []
            if (deadline := self.engine.next_deadline()) is not None:
                moments.append(deadline)
            moment = min(moments, default=until + 1)
            if moment > until:
                break
            self.now = max(self.now, moment)
            if self._events and self._events[0][0] <= self.now:
                _, _, life, event = heapq.heappop(self._events)
                if life == self._life:
                    self._apply(event())
            else:
                self._apply(self.engine.advance(self.now))
                deadline = self.engine.next_deadline()
                assert deadline is None or deadline > self.now, "deadlines move"
        self.now = until

    def state(self, commit: CommitId) -> fx.TransferState:
        """Where a download is."""
        return self.engine.transfer(commit, self.now).state

    # The host

    def _later(self, seconds: float, event: Callable[[], Sequence[Effect]]) -> None:
        moment = self.now + seconds
        heapq.heappush(self._events, (moment, next(self._numbers), self._life, event))

    def _apply(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self._obey(effect)

    def _obey(self, effect: Effect) -> None:  # noqa: C901, PLR0912 - one arm per effect
        match effect:
            case Persist(name, data):
                if name == WANTED_NAME:
                    self.persisted = data
            case fx.OpenPart(commit, wanted):
                self._open[commit] = wanted
                part = self.disk.setdefault(commit, bytearray())
                size = len(part)
                self._later(0, lambda: self.engine.part_opened(commit, size, self.now))
            case fx.WritePart(commit, data):
                self._write(commit, data)
            case fx.ResetPart(commit):
                self.disk[commit].clear()
            case fx.ClosePart(commit):
                self._open.pop(commit, None)
            case fx.RemovePart(commit):
                self._open.pop(commit, None)
                self.disk.pop(commit, None)
            case fx.CheckPart(commit):
                self._later(0, lambda: self._check(commit))
            case fx.FindSources(commit):
                found = list(self.online)
                self._later(0, lambda: self.engine.sources_found(commit, found, self.now))
            case fx.OpenChannel(op, peer, name):
                self._open_channel(op, peer, name)
            case fx.CloseChannel(channel):
                if channel in self._channels:
                    self._channels[channel].is_open = False
            case fx.TransferChanged(transfer):
                self.told.append(transfer)
            case _:
                raise AssertionError(effect)

    def _write(self, commit: CommitId, data: bytes) -> None:
        assert commit in self._open, "only an open part is written"
        part = self.disk[commit]
        if sum(map(len, self.disk.values())) + len(data) > self.disk_size_max:
            error = DiskFullError("/files")
            self._later(0, lambda: self.engine.part_failed(commit, error, self.now))
            return
        part += data
        assert len(part) <= self._open[commit].size, "never more than the file has"

    def _check(self, commit: CommitId) -> Sequence[Effect]:
        wanted = self._open[commit]
        part = bytes(self.disk[commit])
        if hashlib.sha3_512(part).hexdigest() != wanted.sha3_512 or len(part) != wanted.size:
            self.disk[commit].clear()
            return self.engine.part_wrong(commit, self.now)
        del self.disk[commit], self._open[commit]
        self.whole[commit] = part
        held = HeldFile(
            wanted.conversation, commit, wanted.transfer_id, "/files/a.bin", wanted.sha3_512,
            Stamp(wanted.size, 0, 0),
        )  # fmt: skip
        return [e for e in self.engine.part_checked(commit, held, self.now) if not _is_held(e)]

    def _open_channel(self, op: int, device: DeviceId, name: str) -> None:
        request = parse_name(name)
        assert isinstance(request, FileRequest)
        assert request.device == OWN
        assert request.end == 0
        assert request.start < 2**32
        self.starts.append((device, request.start))
        peer = self.peers[device]
        if device not in self.online or peer.habit == "silent":
            return
        if peer.habit == "declines":
            self._later(LATENCY, lambda: self.engine.open_failed(op, self.now))
            return
        self._later(LATENCY, lambda: self._opened(op, device, request.start))

    def _opened(self, op: int, device: DeviceId, start: int) -> Sequence[Effect]:
        number = next(self._numbers)
        self._channels[number] = _Channel(device)
        data, closes = self.peers[device].sends(self.content, start)
        self._later(TICK, lambda: self._send(number, data, closes))
        return self.engine.channel_opened(op, number, self.now)

    def _send(self, number: int, data: bytes, closes: bool) -> Sequence[Effect]:
        channel = self._channels[number]
        if not channel.is_open or channel.device not in self.online:
            if not channel.is_open:
                return ()
            return self.engine.channel_closed(number, self.now)
        size = 10 if self.peers[channel.device].habit == "slow" else CHUNK
        piece, rest = data[:size], data[size:]
        if piece:
            self.sent += len(piece)
            if rest or closes:
                self._later(TICK, lambda: self._send(number, rest, closes))
            return self.engine.receive(number, piece, self.now)
        return self.engine.channel_closed(number, self.now) if closes else ()


def _is_held(effect: Effect) -> bool:
    return isinstance(effect, Persist) and effect.name != WANTED_NAME
