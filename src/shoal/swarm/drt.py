"""The DRT: which members' devices to keep a channel to, so that few suffice for a large group.

Theory of operation. Devices have 256-bit ids. Seen from us, bucket n holds the devices whose ids
agree with ours in exactly n leading bits. As long as each bucket that has anybody in it has one
neighbour of ours, the whole is connected, and news that everybody passes on reaches all: for any
prefix, some device below it has a neighbour on its other side. So we dial one device of each
bucket without neighbour, and never refuse a channel that somebody else opens. n devices have about
log2 n buckets each; as half of its channels are opened by others, a device has about 2 log2 n.
Jami dials two per bucket, which makes twice as many. A new neighbour is asked for the devices
closest to us, and every ten minutes for some near a random id of its bucket.

Source: Jami's routing_table.cpp and swarm_manager.cpp.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import DecodeError, DeviceId
from shoal.core.records import dataclass
from shoal.swarm.drt_wire import DrtMessage, DrtReader, Find, Found, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.core import Entropy

NEIGHBOURS_PER_BUCKET: Final = 1  # ours, see above; Jami's BUCKET_MAX_SIZE is 2
ASKED_FOR: Final = 2  # nodes per question; Jami, resetNodeExpiry
ASK_INTERVAL: Final = 600.0  # seconds; Jami's FIND_PERIOD
DIAL_TIMEOUT: Final = 90.0  # seconds; ours: an offer waits 30 s for its answer, TLS 40 s
RETRY_FIRST: Final = 30.0  # seconds until a device that could not be reached is tried again; ours
RETRY_MAX: Final = 600.0
KNOWN_MAX: Final = 16_384  # ours: devices; those that we heard of first go first
TOLD_MAX: Final = 16  # ours: devices that one answer may name; we ask for two
HEARSAY_MAX: Final = 32  # ours: of one bucket, known from answers only
DIALS_MAX: Final = 8  # ours: at a time
_FAILURES_MAX: Final = 8
_ID_BITS: Final = 256


@dataclass(frozen=True, slots=True)
class Dial:
    """Action: open a `swarm://` channel to this device; tell `opened` or `dial_failed`."""

    device: DeviceId


@dataclass(frozen=True, slots=True)
class Tell:
    """Action: write *data* to the channel of this neighbour."""

    device: DeviceId
    data: bytes


@dataclass(frozen=True, slots=True)
class Drop:
    """Action: close the channel of this neighbour, who makes no sense."""

    device: DeviceId


DrtEffect: TypeAlias = Dial | Tell | Drop


@dataclass(slots=True)
class _Neighbour:
    reader: DrtReader
    is_mobile: bool = False
    next_question: float = 0.0


@dataclass(slots=True)
class _Known:
    failures: int = 0
    not_before: float = 0.0  # when it may be dialled again
    is_mobile: bool = False
    is_sure: bool = False  # known from the repository or its presence, not from an answer


@dataclass(slots=True)
class _Bucket:
    """Devices that agree with us in equally many bits: nothing ever walks all devices."""

    known: dict[DeviceId, _Known] = field(default_factory=dict)
    served: int = 0  # neighbours and dials
    hearsay: dict[DeviceId, None] = field(default_factory=dict)  # known from answers only, or were


class DrtEngine:
    """The routing table of one conversation on one device."""

    def __init__(self, own: DeviceId, entropy: Entropy) -> None:
        self._own = own
        self._number = int.from_bytes(own)
        self._entropy = entropy
        self._neighbours: dict[DeviceId, _Neighbour] = {}
        self._buckets: dict[int, _Bucket] = {}
        self._known_count = 0
        self._dials: dict[DeviceId, float] = {}  # and when they are given up
        self._dials_failed: dict[DeviceId, int] = {}  # how often the dialled failed before
        self._look_at: float | None = None  # when to look for empty buckets again

    @property
    def neighbours(self) -> tuple[DeviceId, ...]:
        """Devices with an open channel, in the order of their coming."""
        return tuple(self._neighbours)

    @property
    def known(self) -> tuple[DeviceId, ...]:
        """Devices without a channel that we have heard of."""
        return tuple(device for bucket in self._buckets.values() for device in bucket.known)

    def know(self, devices: Iterable[DeviceId], now: float) -> list[DrtEffect]:
        """Learn of members' devices: from the repository, from presence."""
        for device in devices:
            if (known := self._learn(device)) is not None:
                known.is_sure = True
        return self._maintain(now)

    def appeared(self, device: DeviceId, now: float) -> list[DrtEffect]:
        """A member's device is online: whatever failed before, it may be dialled now."""
        if (known := self._learn(device)) is not None:
            known.failures, known.not_before, known.is_sure = 0, now, True
        return self._maintain(now)

    def forget(self, device: DeviceId, now: float) -> list[DrtEffect]:
        """Its account is no member any more."""
        is_neighbour = device in self._neighbours
        self._release(device)
        self._unlearn(device)
        return [*([Drop(device)] if is_neighbour else ()), *self._maintain(now)]

    def opened(self, device: DeviceId, now: float) -> list[DrtEffect]:
        """A channel to the device is open, whoever opened it."""
        if device == self._own:
            return []
        self._release(device)
        self._unlearn(device)
        self._neighbours[device] = _Neighbour(DrtReader(), next_question=now + ASK_INTERVAL)
        self._bucket_of(device).served += 1
        question = DrtMessage(find=Find(self._own, ASKED_FOR))
        return [Tell(device, encode(question)), *self._maintain(now)]

    def dial_failed(self, device: DeviceId, now: float) -> list[DrtEffect]:
        """The channel could not be opened."""
        if device in self._dials:
            self._put_off(device, now)
        return self._maintain(now)

    def closed(self, device: DeviceId, now: float) -> list[DrtEffect]:
        """The channel is gone."""
        neighbour = self._neighbours.get(device)
        if neighbour is None:
            return []
        self._put_off(device, now, is_mobile=neighbour.is_mobile)
        return self._maintain(now)

    def receive(self, device: DeviceId, data: bytes, now: float) -> list[DrtEffect]:
        """Take what a neighbour wrote."""
        neighbour = self._neighbours.get(device)
        if neighbour is None:
            return []
        effects: list[DrtEffect] = []
        try:
            for message in neighbour.reader.feed(data):
                effects += self._take(device, neighbour, message)
        except DecodeError:
            self._put_off(device, now)
            effects.append(Drop(device))
        return effects + self._maintain(now)

    def next_deadline(self) -> float | None:
        """When to dial again, to give a dial up, or to ask."""
        moments = [each.next_question for each in self._neighbours.values()]
        moments += self._dials.values()
        if self._look_at is not None:
            moments.append(self._look_at)
        return min(moments, default=None)

    def advance(self, now: float) -> list[DrtEffect]:
        """Give up dials, ask neighbours, look for empty buckets."""
        effects: list[DrtEffect] = []
        for device in [device for device, moment in self._dials.items() if moment <= now]:
            self._put_off(device, now)
        for device, neighbour in self._neighbours.items():
            if neighbour.next_question <= now:
                neighbour.next_question = now + ASK_INTERVAL
                target = self._random_id(self._depth(device))
                effects.append(Tell(device, encode(DrtMessage(find=Find(target, ASKED_FOR)))))
        return effects + self._maintain(now)

    # --- Inside -------------------------------------------------------------------------------

    def _take(
        self, device: DeviceId, neighbour: _Neighbour, message: DrtMessage
    ) -> list[DrtEffect]:
        neighbour.is_mobile = message.is_mobile
        if message.found is not None:
            for node in message.found.nodes[:TOLD_MAX]:
                self._hear(node)
            for node in message.found.mobile_nodes[:TOLD_MAX]:
                self._hear(node, is_mobile=True)
        if message.find is None:
            return []
        found = self._closest(message.find.target, message.find.count, besides=device)
        return [Tell(device, encode(DrtMessage(found=found)))]

    def _closest(self, target: DeviceId, count: int, besides: DeviceId) -> Found:
        """Return the neighbours closest to *target*, and the mobile devices of its bucket."""
        number = int.from_bytes(target)
        candidates = [node for node in self._neighbours if node != besides]
        candidates.sort(key=lambda node: int.from_bytes(node) ^ number)
        known = self._bucket_of(target).known.items() if target != self._own else ()
        mobile = [node for node, found in known if found.is_mobile]
        return Found(tuple(candidates[:count]), tuple(mobile[:count]))

    def _learn(self, device: DeviceId, *, is_mobile: bool = False) -> _Known | None:
        """Note a device and return the note; None if there is no need for one."""
        if device == self._own or device in self._neighbours or device in self._dials:
            return None
        known = self._bucket_of(device).known
        found = known.get(device)
        if found is None:
            if self._known_count >= KNOWN_MAX:
                largest = max(self._buckets.values(), key=lambda bucket: len(bucket.known))
                self._unlearn(next(iter(largest.known)))
            found = known[device] = _Known()
            self._known_count += 1
        found.is_mobile = is_mobile
        return found

    def _hear(self, device: DeviceId, *, is_mobile: bool = False) -> None:
        """Note a device that a neighbour names, who may make it up: only so many."""
        bucket = self._bucket_of(device)
        if device in bucket.known:
            return
        while len(bucket.hearsay) >= HEARSAY_MAX:
            oldest = next(iter(bucket.hearsay))
            del bucket.hearsay[oldest]
            if oldest in bucket.known and not bucket.known[oldest].is_sure:
                self._unlearn(oldest)
        if self._learn(device, is_mobile=is_mobile) is not None:
            bucket.hearsay[device] = None

    def _unlearn(self, device: DeviceId) -> None:
        if self._bucket_of(device).known.pop(device, None) is not None:
            self._known_count -= 1

    def _release(self, device: DeviceId) -> None:
        """End its being a neighbour, or dialled."""
        is_served = self._neighbours.pop(device, None) is not None
        is_served |= self._dials.pop(device, None) is not None
        self._dials_failed.pop(device, None)
        if is_served:
            self._bucket_of(device).served -= 1

    def _put_off(self, device: DeviceId, now: float, *, is_mobile: bool = False) -> None:
        """Try a device that could not be kept later again, and later each time."""
        failures = self._dials_failed.pop(device, 0)
        self._release(device)
        known = self._learn(device, is_mobile=is_mobile)
        assert known is not None, "it was released"
        wait = min(RETRY_FIRST * 2.0**failures, RETRY_MAX)
        known.failures = min(failures + 1, _FAILURES_MAX)
        known.not_before = now + wait * (0.5 + self._entropy.uniform(0.0, 0.5))

    def _maintain(self, now: float) -> list[DrtEffect]:
        """Dial somebody in each bucket that needs a neighbour."""
        effects: list[DrtEffect] = []
        self._look_at = None
        for depth in sorted(self._buckets):
            bucket = self._buckets[depth]
            if not bucket.known or bucket.served >= NEIGHBOURS_PER_BUCKET:
                continue
            candidates: list[DeviceId] = []
            sure: list[DeviceId] = []
            for device, known in bucket.known.items():
                if known.is_mobile:
                    continue
                if known.not_before <= now:
                    (sure if known.is_sure else candidates).append(device)
                elif self._look_at is None or known.not_before < self._look_at:
                    self._look_at = known.not_before
            # Those that surely are members' come first: the others may be anybody's invention.
            candidates = sure or candidates
            if candidates and len(self._dials) < DIALS_MAX:  # each that ends leads back here
                effects.append(self._dial(candidates, now))
        return effects

    def _dial(self, candidates: list[DeviceId], now: float) -> Dial:
        chosen = candidates[self._entropy.below(len(candidates))]
        bucket = self._bucket_of(chosen)
        self._dials[chosen] = now + DIAL_TIMEOUT
        self._dials_failed[chosen] = bucket.known[chosen].failures
        self._unlearn(chosen)
        bucket.served += 1
        return Dial(chosen)

    def _bucket_of(self, device: DeviceId) -> _Bucket:
        depth = self._depth(device)
        found = self._buckets.get(depth)
        if found is None:
            found = self._buckets[depth] = _Bucket()
        return found

    def _depth(self, device: DeviceId) -> int:
        """Return in how many leading bits the id agrees with ours."""
        return _ID_BITS - (int.from_bytes(device) ^ self._number).bit_length()

    def _random_id(self, depth: int) -> DeviceId:
        """Return a random id of a bucket."""
        rest = _ID_BITS - depth - 1  # bits that are free
        kept = (self._number >> rest) ^ 1
        free = int.from_bytes(self._entropy.token_bytes(_ID_BITS // 8)) & ((1 << rest) - 1)
        return DeviceId((kept << rest | free).to_bytes(_ID_BITS // 8))
