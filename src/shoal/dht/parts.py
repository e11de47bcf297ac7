"""Values that come in parts, put together again.

A message whose values do not fit announces their sizes in its header; the bytes follow, one piece
per datagram. An assembly belongs to one (source address, tid) and takes pieces in any order:

    nothing ── part ──▶ early ── header ──▶ open ── last piece ──▶ complete (message returned)
       └──────────────── header ──────────────┘
    any ── 10 s since its start, or 3 s since the last piece it took ──▶ dropped

Everything here is bounded. When there is no room, a newcomer pushes out the oldest assembly of a
lower rank (early parts < requests < replies, which were asked for), or is refused itself.

Source: OpenDHT 4.x network_engine.cpp, processMessage, maintainRxBuffer; parsed_message.h, append.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from typing import Final, TypeAlias

from shoal.core import Address, DecodeError
from shoal.core.records import dataclass
from shoal.dht.value import PACKED_SIZE_MAX, VALUE_SIZE_MAX, Value
from shoal.dht.wire import Part, Piece, Put, Reply, Update

LIFE_MAX: Final = 10.0  # seconds; OpenDHT network_engine.h: RX_MAX_PACKET_TIME
IDLE_MAX: Final = 3.0  # seconds; OpenDHT network_engine.h: RX_TIMEOUT
EARLY_SIZE_MAX: Final = 56 * 1024 + VALUE_SIZE_MAX + 32  # OpenDHT: RX_MAX_EARLY_BYTES
EARLY_PARTS_MAX: Final = 98  # OpenDHT network_engine.h: RX_MAX_EARLY_PARTS
MESSAGE_SIZE_MAX: Final = 4 * 1024 * 1024  # ours: announced bytes of all values of one message
ASSEMBLIES_MAX: Final = 4096  # ours: half a second of requests at the default rate limit
ASSEMBLIES_PER_SOURCE_MAX: Final = 1024  # ours: one second of requests of one IP, or IPv6 /64
HELD_MAX: Final = 32 * 1024 * 1024  # ours: bytes in all assemblies, bookkeeping included
HELD_PER_SOURCE_MAX: Final = HELD_MAX // 2  # ours: no source takes all the room
_PREFIX_SIZE: Final = 8  # bytes of an IPv6 /64
_PIECE_COST: Final = 160  # ours: bookkeeping of a piece, else one-byte pieces would be cheap
_ASSEMBLY_COST: Final = 512  # ours: bookkeeping of an assembly

Assembled: TypeAlias = Put | Update | Reply
_Key: TypeAlias = tuple[Address, int]

_EARLY, _REQUEST, _REPLY = range(3)  # ranks: how readily an assembly is given up


@dataclass(slots=True)
class AssemblyStats:
    """What became of assemblies and pieces.

    Attributes:
        completed: a message was returned whole.
        timed_out: an assembly idle or old was dropped.
        unparsable: an assembly was dropped as an assembled value is no value.
        duplicate_headers: a header came for an assembly that has one.
        hopeless_headers: a header announced an empty value, which no piece can complete.
        oversize_headers: a header announced more than 4 MiB in all.
        early_overflows: an assembly without header was dropped for more than 98 early parts, or
            more than 122,912 early bytes.
        refused: an assembly was not begun, or was dropped, as there was no room for it.
        pushed_out: an assembly was dropped to make room for one of higher rank.
        empty_parts: a part had no pieces, or an empty one before its header.
        empty_pieces: a piece had no bytes.
        unknown_pieces: a piece was for a value that is not awaited.
        beyond_pieces: a piece did not lie within its value.
        overlapping_pieces: a piece overlapped one that is there (a repetition, usually).
        late_pieces: a piece was for a value already complete.
    """

    completed: int = 0
    timed_out: int = 0
    unparsable: int = 0
    duplicate_headers: int = 0
    hopeless_headers: int = 0
    oversize_headers: int = 0
    early_overflows: int = 0
    refused: int = 0
    pushed_out: int = 0
    empty_parts: int = 0
    empty_pieces: int = 0
    unknown_pieces: int = 0
    beyond_pieces: int = 0
    overlapping_pieces: int = 0
    late_pieces: int = 0


class _Slot:
    """Pieces of one value; `offsets` is sorted and parallel to `chunks`."""

    __slots__ = ("chunks", "offsets", "received", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.received = 0
        self.offsets: list[int] = []
        self.chunks: list[bytes] = []

    def overlaps(self, offset: int, end: int) -> bool:
        """Whether a piece there has bytes from *offset* up to *end*."""
        place = bisect_left(self.offsets, offset)
        if place < len(self.offsets) and self.offsets[place] < end:
            return True
        return place > 0 and self.offsets[place - 1] + len(self.chunks[place - 1]) > offset

    def insert(self, offset: int, data: bytes) -> None:
        """Keep a piece that overlaps none."""
        place = bisect_left(self.offsets, offset)
        self.offsets.insert(place, offset)
        self.chunks.insert(place, data)
        self.received += len(data)


class _Share:
    """What one source holds of the room there is."""

    __slots__ = ("assemblies", "held")

    def __init__(self) -> None:
        self.assemblies = 0
        self.held = 0


class _Assembly:
    """One message to be: its header once known, its pieces, its times."""

    __slots__ = (
        "awaited",
        "deadline",
        "early",
        "early_size",
        "held",
        "is_dropped",
        "message",
        "rank",
        "share",
        "slots",
        "start",
    )

    def __init__(self, rank: int, share: _Share, now: float) -> None:
        self.message: Assembled | None = None
        self.rank = rank
        self.share = share
        self.start = now
        self.deadline = now + IDLE_MAX
        self.early: list[Part] = []
        self.early_size = 0
        self.slots: dict[int, _Slot] = {}
        self.awaited = 0  # values not yet complete
        self.held = 0
        self.is_dropped = False


class Assembler:
    """Collects the parts of messages from all addresses."""

    def __init__(self) -> None:
        self.stats = AssemblyStats()
        self._assemblies: dict[_Key, _Assembly] = {}
        self._ranks: tuple[dict[_Key, None], ...] = ({}, {}, {})  # keys of each rank, oldest first
        self._shares: dict[bytes, _Share] = {}
        self._held = 0
        self._deadlines: list[tuple[float, int, _Key]] = []  # heap; entries may be stale
        self._serial = 0

    def __len__(self) -> int:
        return len(self._assemblies)

    @property
    def held(self) -> int:
        """Bytes held, bookkeeping included."""
        return self._held

    def is_open(self, addr: Address, tid: int) -> bool:
        """Whether something of this message is here already: further parts are not charged."""
        return (addr, tid) in self._assemblies

    def awaits_header(self, addr: Address, tid: int) -> bool:
        """Whether only early parts are here: the first of them paid for the header, once."""
        assembly = self._assemblies.get((addr, tid))
        return assembly is not None and assembly.message is None

    def open(self, message: Assembled, addr: Address, now: float) -> Assembled | None:
        """Take a header with sizes; return the message if early parts make it whole.

        The caller has seen to it that a reply was asked for, and a request is within its limits.
        """
        key = (addr, message.tid)
        assembly = self._assemblies.get(key)
        if assembly is not None and assembly.message is not None:
            self.stats.duplicate_headers += 1
            return None
        slots = self._slots(message)
        if slots is None:
            return None
        rank = _REPLY if type(message) is Reply else _REQUEST
        if assembly is None:
            assembly = self._begin(key, rank, now)
            if assembly is None:
                return None
        else:
            self._promote(key, assembly, rank)
        assembly.message = message
        assembly.slots = slots
        assembly.awaited = len(slots)
        self._touch(assembly, now)
        if not self._charge(key, assembly, _PIECE_COST * len(slots)):
            return None
        early, assembly.early = assembly.early, []
        for part in early:
            self._append(key, assembly, part)
        return self._completed(key, assembly)

    def add(self, part: Part, addr: Address, now: float) -> Assembled | None:
        """Take a part; return the message that it makes whole."""
        key = (addr, part.tid)
        assembly = self._assemblies.get(key)
        if assembly is None or assembly.message is None:
            self._add_early(key, assembly, part, now)
            return None
        if self._append(key, assembly, part):
            self._touch(assembly, now)
        return self._completed(key, assembly)

    def next_deadline(self) -> float | None:
        """When an assembly may have to be dropped; None while there is none."""
        return self._deadlines[0][0] if self._deadlines else None

    def advance(self, now: float) -> None:
        """Drop the assemblies that waited too long."""
        while self._deadlines and self._deadlines[0][0] <= now:
            key = heapq.heappop(self._deadlines)[2]
            assembly = self._assemblies.get(key)
            if assembly is None:
                continue
            if assembly.deadline > now:
                self._schedule(key, assembly.deadline)
            else:
                self.stats.timed_out += 1
                self._drop(key)

    def _slots(self, message: Assembled) -> dict[int, _Slot] | None:
        """Return a slot for each announced value, None if the message is not worth beginning.

        Sizes above the limit have no slot, and their values are lost; the others keep their places.
        """
        sizes = message.sizes or ()
        slots = {i: _Slot(size) for i, size in enumerate(sizes) if 0 <= size <= PACKED_SIZE_MAX}
        if any(slot.size == 0 for slot in slots.values()):
            self.stats.hopeless_headers += 1
            return None
        if sum(slot.size + _PIECE_COST for slot in slots.values()) > MESSAGE_SIZE_MAX:
            self.stats.oversize_headers += 1
            return None
        return slots

    def _add_early(self, key: _Key, assembly: _Assembly | None, part: Part, now: float) -> None:
        """Keep a part that came before its header."""
        size = sum(len(piece.data) for piece in part.pieces)
        if not part.pieces or not all(piece.data for piece in part.pieces):
            self.stats.empty_parts += 1
            return
        if assembly is None:
            assembly = self._begin(key, _EARLY, now)
            if assembly is None:
                return
        if len(assembly.early) >= EARLY_PARTS_MAX or assembly.early_size + size > EARLY_SIZE_MAX:
            self.stats.early_overflows += 1
            self._drop(key)
            return
        if not self._charge(key, assembly, size + _PIECE_COST * len(part.pieces)):
            return
        assembly.early.append(part)
        assembly.early_size += size
        self._touch(assembly, now)

    def _append(self, key: _Key, assembly: _Assembly, part: Part) -> bool:
        """Take the pieces of *part* that fit; return whether there was one."""
        was_taken = False
        for piece in part.pieces:
            slot = None if assembly.is_dropped else self._slot_for(assembly, piece)
            if slot is None:
                continue
            if not self._charge(key, assembly, len(piece.data) + _PIECE_COST):
                continue
            slot.insert(piece.offset, piece.data)
            assembly.awaited -= slot.received == slot.size
            was_taken = True
        return was_taken

    def _slot_for(self, assembly: _Assembly, piece: Piece) -> _Slot | None:
        """Return where *piece* goes, or None if it is to be ignored."""
        stats = self.stats
        slot = assembly.slots.get(piece.place)
        end = piece.offset + len(piece.data)
        if slot is None:
            stats.unknown_pieces += 1
        elif not piece.data:
            stats.empty_pieces += 1
        elif slot.received == slot.size:
            stats.late_pieces += 1
        elif end > slot.size:
            stats.beyond_pieces += 1
        elif slot.overlaps(piece.offset, end):
            stats.overlapping_pieces += 1
        else:
            return slot
        return None

    def _completed(self, key: _Key, assembly: _Assembly) -> Assembled | None:
        """Return the message if its last value is complete; then the assembly is over."""
        if assembly.awaited or assembly.is_dropped:
            return None
        self._drop(key)
        assert assembly.message is not None, "only open assemblies complete"
        try:
            values = tuple(Value.unpack(b"".join(slot.chunks)) for slot in assembly.slots.values())
        except DecodeError:
            self.stats.unparsable += 1
            return None
        self.stats.completed += 1
        message = assembly.message
        return message._replace(values=message.values + values, sizes=None)

    def _begin(self, key: _Key, rank: int, now: float) -> _Assembly | None:
        """Begin an assembly, if there is room or room can be made."""
        source = _source(key[0])
        share = self._shares.get(source)
        is_greedy = share is not None and share.assemblies >= ASSEMBLIES_PER_SOURCE_MAX
        is_full = len(self._assemblies) >= ASSEMBLIES_MAX
        if is_greedy or (is_full and not self._push_out(rank)):
            self.stats.refused += 1
            return None
        share = self._shares.setdefault(source, _Share())
        assembly = _Assembly(rank, share, now)
        share.assemblies += 1
        self._assemblies[key] = assembly
        self._ranks[rank][key] = None
        self._schedule(key, assembly.deadline)
        return assembly if self._charge(key, assembly, _ASSEMBLY_COST) else None

    def _promote(self, key: _Key, assembly: _Assembly, rank: int) -> None:
        """Raise the rank of an assembly whose header came; its early parts get counted anew."""
        del self._ranks[assembly.rank][key]
        self._ranks[rank][key] = None
        assembly.rank = rank
        surplus = assembly.held - _ASSEMBLY_COST
        assembly.held -= surplus
        assembly.share.held -= surplus
        self._held -= surplus

    def _charge(self, key: _Key, assembly: _Assembly, cost: int) -> bool:
        """Account for *cost* bytes; drop the assembly if there is no room for them."""
        has_room = assembly.share.held + cost <= HELD_PER_SOURCE_MAX
        while has_room and self._held + cost > HELD_MAX:
            has_room = self._push_out(assembly.rank)
        if not has_room:
            self.stats.refused += 1
            self._drop(key)
            return False
        assembly.held += cost
        assembly.share.held += cost
        self._held += cost
        return True

    def _push_out(self, rank: int) -> bool:
        """Drop the oldest assembly of the lowest rank below *rank*; False if there is none."""
        for keys in self._ranks[:rank]:
            if keys:
                self.stats.pushed_out += 1
                self._drop(next(iter(keys)))
                return True
        return False

    def _drop(self, key: _Key) -> None:
        """Forget an assembly."""
        assembly = self._assemblies.pop(key)
        assembly.is_dropped = True
        del self._ranks[assembly.rank][key]
        self._held -= assembly.held
        assembly.share.held -= assembly.held
        assembly.share.assemblies -= 1
        if not assembly.share.assemblies:
            del self._shares[_source(key[0])]
        self._tidy()

    def _touch(self, assembly: _Assembly, now: float) -> None:
        """Give an assembly 3 s from now, within its 10 s."""
        assembly.deadline = min(now + IDLE_MAX, assembly.start + LIFE_MAX)

    def _schedule(self, key: _Key, deadline: float) -> None:
        """Look at an assembly at *deadline*; a later deadline is found then."""
        self._serial += 1
        heapq.heappush(self._deadlines, (deadline, self._serial, key))

    def _tidy(self) -> None:
        """Keep stale deadlines few: none on top, and no more of them than live ones below."""
        heap, assemblies = self._deadlines, self._assemblies
        while heap and heap[0][2] not in assemblies:
            heapq.heappop(heap)
        if len(heap) > 2 * len(assemblies) + 64:
            live: dict[_Key, tuple[float, int, _Key]] = {}
            for entry in sorted(heap):
                if entry[2] in assemblies:
                    live.setdefault(entry[2], entry)
            self._deadlines = sorted(live.values())


def _source(addr: Address) -> bytes:
    """Return who shares limits with *addr*: its IPv4 address, or its IPv6 /64."""
    return addr.ip if len(addr.ip) <= _PREFIX_SIZE else addr.ip[:_PREFIX_SIZE]
