"""`sync://` channels: what one device of an account tells the others, whenever something changes.

    own device appears ── no channel with it? ── OpenChannel ── full state ── changes ...
    own device opens one to us ─────────────────── accepted ─── full state ── changes ...

Each side sends its full state as soon as the channel is open, in packets that 13.7 can decode one
by one, and again when something has changed. Two channels with one device, when both opened one,
are normal; both carry everything.

Source: Jami sync_channel_handler.cpp, sync_module.cpp; reference section 4.4.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError, DeviceId
from shoal.core.records import dataclass
from shoal.identity import SyncDecoder
from shoal.node.account.effects import CloseChannel, OpenChannel, SendPacket, SyncArrived

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shoal.identity import DeviceChain
    from shoal.node.account.operations import Operations

SCHEME: Final = "sync://"
SETTLE_TIME: Final = 0.2  # seconds that changes are gathered for; ours
RETRY_FIRST: Final = 15.0  # seconds after a failed attempt; ours
RETRY_MAX: Final = 600.0  # seconds; ours: as long as an announcement speaks for a device
CHANNELS_MAX: Final = 64  # ours: with all devices of the account
CHANNELS_PER_DEVICE_MAX: Final = 4  # ours: two are normal


@dataclass(slots=True)
class SyncStats:
    """Counters of device sync.

    Attributes:
        sent: packets sent.
        received: messages taken.
        undecodable: streams that were no sync, and were closed.
    """

    sent: int = 0
    received: int = 0
    undecodable: int = 0


@dataclass(slots=True, eq=False)
class _Channel:
    """A sync channel that is open."""

    number: int
    chain: DeviceChain
    decoder: SyncDecoder = field(default_factory=SyncDecoder)


@dataclass(slots=True, eq=False)
class _Target:
    """A device of ours that is announced."""

    chain: DeviceChain
    op: int | None = None
    wait: float = RETRY_FIRST
    retry_at: float | None = None


class DeviceSyncing:
    """Keeps a sync channel with every device of the account that is online."""

    def __init__(self, operations: Operations, device: DeviceId) -> None:
        """Sync for our *device*."""
        self.stats: Final = SyncStats()
        self._operations = operations
        self._device = device
        self._channels: dict[int, _Channel] = {}
        self._targets: dict[DeviceId, _Target] = {}
        self._opening: dict[int, _Target] = {}
        self._send_at: float | None = None
        self._news: list[bytes] = []  # packets, where the whole state need not go out
        self._news_at: float | None = None

    def __contains__(self, op: int) -> bool:
        """Whether *op* opens a channel of ours."""
        return op in self._opening

    @property
    def own_name(self) -> str:
        """The name of the channels that others open to us."""
        return f"{SCHEME}{self._device}"

    def has_channel(self, number: int) -> bool:
        """Whether the channel with this *number* is one of ours."""
        return number in self._channels

    def accepts(self, chain: DeviceChain, name: str) -> bool:
        """Whether a channel that an own device asks for is taken."""
        return (
            name == self.own_name
            and len(self._channels) < CHANNELS_MAX
            and self._count(chain.device) < CHANNELS_PER_DEVICE_MAX
        )

    def device_online(self, chain: DeviceChain) -> list[object]:
        """Take note that a device of ours is announced: open a channel if there is none."""
        target = self._targets.get(chain.device)
        if target is None:
            target = self._targets[chain.device] = _Target(chain)
        target.chain, target.wait = chain, RETRY_FIRST
        return self._open(target)

    def device_offline(self, device: DeviceId) -> None:
        """Take note that a device is announced no longer."""
        target = self._targets.pop(device, None)
        if target is not None and target.op is not None:
            self._opening.pop(target.op, None)
            self._operations.end(target.op)

    def device_revoked(self, device: DeviceId) -> list[object]:
        """Tell a device nothing more."""
        self.device_offline(device)
        gone = [each.number for each in self._channels.values() if each.chain.device == device]
        for number in gone:
            del self._channels[number]
        return [CloseChannel(number) for number in gone]

    def state_changed(self, now: float) -> None:
        """Take note that there is something to tell."""
        if self._channels and self._send_at is None:
            self._send_at = now + SETTLE_TIME

    def tell(self, packets: Sequence[bytes], now: float) -> None:
        """Take packets that all devices are to be told; the whole state would hold them, too."""
        if self._channels and packets:
            self._news += packets
            if self._news_at is None:
                self._news_at = now + SETTLE_TIME

    def channel_opened(self, op: int, number: int, state: Iterable[bytes]) -> list[object]:
        """Take a channel that we asked for; tell it the full *state*."""
        target = self._opening.pop(op, None)
        if target is None:
            return [CloseChannel(number)]
        self._operations.end(op)
        target.op, target.wait = None, RETRY_FIRST
        return self._add(number, target.chain, state)

    def channel_failed(self, op: int, now: float) -> list[object]:
        """Try again later, as long as the device is announced."""
        target = self._opening.pop(op, None)
        if target is not None:
            self._operations.end(op)
            target.op = None
            target.retry_at = now + target.wait
            target.wait = min(2 * target.wait, RETRY_MAX)
        return []

    def channel_accepted(
        self, number: int, chain: DeviceChain, state: Iterable[bytes]
    ) -> list[object]:
        """Take a channel that a device of ours opened; tell it the full *state*."""
        return self._add(number, chain, state)

    def received(self, number: int, data: bytes) -> list[object]:
        """Take a packet; a stream that is no sync is closed."""
        channel = self._channels.get(number)
        if channel is None:
            return []
        try:
            messages = channel.decoder.feed(data)
        except DecodeError:
            self.stats.undecodable += 1
            del self._channels[number]
            return [CloseChannel(number)]
        self.stats.received += len(messages)
        return [SyncArrived(channel.chain, message) for message in messages]

    def closed(self, number: int, now: float) -> list[object]:
        """Take note that a channel is closed; open another if the device is still there."""
        channel = self._channels.pop(number, None)
        if channel is None:
            return []
        target = self._targets.get(channel.chain.device)
        if target is not None and not self._count(channel.chain.device):
            target.retry_at = now + target.wait
            target.wait = min(2 * target.wait, RETRY_MAX)
        return []

    def next_deadline(self) -> float | None:
        """When something is to be told, or a device tried again."""
        moments = [t.retry_at for t in self._targets.values() if t.retry_at is not None]
        moments += [moment for moment in (self._send_at, self._news_at) if moment is not None]
        return min(moments, default=None)

    @property
    def is_due_to_send(self) -> bool:
        """Whether changes wait to be told."""
        return self._send_at is not None

    def advance(self, now: float, state: Iterable[bytes]) -> list[object]:
        """Tell all devices the *state* if it has changed; try again what failed."""
        effects: list[object] = []
        is_state_due = self._send_at is not None and self._send_at <= now
        if is_state_due or (self._news_at is not None and self._news_at <= now):
            packets = list(state) if is_state_due else self._news
            self._news, self._news_at = [], None
            self._send_at = None if is_state_due else self._send_at
            for number in self._channels:
                effects += self._send(number, packets)
        for target in list(self._targets.values()):
            if target.retry_at is not None and target.retry_at <= now:
                target.retry_at = None
                effects += self._open(target)
        return effects

    def _open(self, target: _Target) -> list[object]:
        device = target.chain.device
        if target.op is not None or self._count(device):
            return []
        target.op = self._operations.begin_silent()
        target.retry_at = None
        self._opening[target.op] = target
        return [OpenChannel(target.op, target.chain, f"{SCHEME}{device}", "sync")]

    def _add(self, number: int, chain: DeviceChain, state: Iterable[bytes]) -> list[object]:
        self._channels[number] = _Channel(number, chain)
        return self._send(number, state)

    def _send(self, number: int, packets: Iterable[bytes]) -> list[object]:
        effects: list[object] = [SendPacket(number, packet) for packet in packets]
        self.stats.sent += len(effects)
        return effects

    def _count(self, device: DeviceId) -> int:
        return sum(each.chain.device == device for each in self._channels.values())
