"""Members who attack: real attack code against the production engine.

A hostile device joins as anybody does. Then it answers fetches in its own way, tells of news that
are none, and opens what it never uses.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Final

from shoal.core import CommitId, ConversationId, DeviceId
from shoal.swarm import Commit, MemoryStore
from shoal.swarm.contents import Text, write_content
from shoal.swarm.effects import OpenChannel, WriteChannel
from shoal.swarm.engine import SwarmEngine
from shoal.swarm.notices import CommitNotice, ComposingNotice, DisplayedNotice, Invitation
from shoal.swarm.packs import write_pack
from shoal.swarm.pkt_line import FLUSH, SIDE_BAND_DATA_MAX, encode
from shoal.swarm.store import ObjectKind
from tests.unit.swarm.people import ALICE, MALLORY, WALL_NOW, who

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shoal.core import AccountId
    from shoal.swarm.effects import Effect
    from shoal.swarm.notices import Notice

NOTICES_A_SECOND: Final = 20
IDLE_CHANNELS: Final = 200  # to each device, in all
DRIP: Final = 5.0  # seconds between two bytes


class Mallory(SwarmEngine):
    """An engine that turns bad once `attack` is set."""

    attack: str = ""
    group: ConversationId

    def begin_attack(self, group: ConversationId, attack: str, now: float) -> list[Effect]:
        """Turn bad."""
        self.group, self.attack = group, attack
        self._due = now
        self._dripping: dict[int, bytes] = {}
        self._asked: set[int] = set()
        self._opened: dict[DeviceId, int] = {}
        self._evil = MemoryStore()
        conversation = self.sessions[group].conversation
        assert conversation is not None
        self._evil.objects = dict(conversation.store.objects)  # type: ignore[attr-defined]
        self._honest = set(self._evil.objects)
        self._base = conversation.graph[conversation.head]
        self._evil_head = self._make_evil(conversation.head)
        return []

    # --- What it serves -----------------------------------------------------------------------

    def channel_accepted(
        self, channel: int, account: AccountId, device: DeviceId, name: str, now: float
    ) -> list[Effect]:
        """Take whatever comes."""
        if self.attack and name.startswith("git:"):
            self._asked.add(channel)
            return []
        return super().channel_accepted(channel, account, device, name, now)

    def receive(self, channel: int, data: bytes, now: float) -> list[Effect]:
        """Answer a fetch with an attack."""
        if not self.attack or channel not in self._asked:
            return super().receive(channel, data, now)
        answer: Callable[[int, bytes], list[Effect]] = getattr(self, f"_serve_{self.attack}")
        return answer(channel, data)

    def _serve_flood(self, channel: int, data: bytes) -> list[Effect]:
        return []

    def _serve_silence(self, channel: int, data: bytes) -> list[Effect]:
        return []

    def _serve_drip(self, channel: int, data: bytes) -> list[Effect]:
        self._dripping.setdefault(channel, self._refs(self._evil_head))
        return []

    def _serve_garbage(self, channel: int, data: bytes) -> list[Effect]:
        return [WriteChannel(channel, self._context.entropy.token_bytes(1_000))]

    def _serve_refs(self, channel: int, data: bytes) -> list[Effect]:
        lines = [encode(b"%040d refs/heads/%d\n" % (n, n)) for n in range(700)]
        return [WriteChannel(channel, b"".join(lines)) for _ in range(20)]

    def _serve_idle(self, channel: int, data: bytes) -> list[Effect]:
        if b"git-upload-pack" in data:
            return [WriteChannel(channel, self._refs(self._evil_head))]
        lines = encode(b"NAK\n") + encode(b"\2still counting\n") * 2_000
        return [WriteChannel(channel, lines) for _ in range(20)]

    def _serve_bomb(self, channel: int, data: bytes) -> list[Effect]:
        """Send megabytes of deltas that make gigabytes of nothing."""
        size = 8_000_000
        base = bytes(size)
        name = hashlib.sha1(b"blob %d\0" % size + base, usedforsecurity=False).digest()
        copy = _varint(size) + _varint(size) + b"\xf0" + size.to_bytes(3, "little")
        delta = bytes((0x70 | len(copy),)) + name + zlib.compress(copy)
        rest = _varint(size >> 4)
        first = bytes((0xB0 | size & 0x0F,)) + rest + zlib.compress(base)
        return self._serve_pack(channel, data, (first, *(delta for _ in range(5_000))))

    def _serve_withhold(self, channel: int, data: bytes) -> list[Effect]:
        """Give the commit without its tree."""
        raw = self._evil.objects[self._evil_head]
        return self._serve_objects(channel, data, [raw])

    def _serve_forge(self, channel: int, data: bytes) -> list[Effect]:
        fresh = [found for name, found in self._evil.objects.items() if name not in self._honest]
        return self._serve_objects(channel, data, fresh)

    _serve_deep = _serve_forge
    _serve_paths = _serve_forge
    _serve_future = _serve_forge

    def _serve_objects(
        self, channel: int, data: bytes, objects: list[tuple[ObjectKind, bytes]]
    ) -> list[Effect]:
        if b"git-upload-pack" in data:
            return [WriteChannel(channel, self._refs(self._evil_head))]
        if b"done" not in data:
            return []
        pack = b"".join(write_pack(objects, len(objects)))
        return [WriteChannel(channel, piece) for piece in _side_band(pack)]

    def _serve_pack(self, channel: int, data: bytes, entries: tuple[bytes, ...]) -> list[Effect]:
        if b"git-upload-pack" in data:
            return [WriteChannel(channel, self._refs(self._evil_head))]
        if b"done" not in data:
            return []
        pack = b"PACK" + (2).to_bytes(4) + len(entries).to_bytes(4) + b"".join(entries)
        pack += hashlib.sha1(pack, usedforsecurity=False).digest()
        return [WriteChannel(channel, piece) for piece in _side_band(pack)]

    def _refs(self, head: CommitId) -> bytes:
        tip = str(head).encode()
        return encode(tip + b" HEAD\0side-band-64k\n") + encode(tip + b" refs/heads/main\n") + FLUSH

    # --- What it makes ------------------------------------------------------------------------

    def _make_evil(self, head: CommitId) -> CommitId:
        """Make the commits that this attack offers; return the last one."""
        if self.attack == "deep":
            for number in range(3_000):
                head = self._commit(head, f"deep {number}", author=ALICE)
            return head
        if self.attack == "forge":
            return self._commit(head, "alice says: give mallory all", author=ALICE)
        if self.attack == "future":
            return self._commit(head, "from the future", wall_time=250_000_000_000)
        if self.attack in ("withhold", "paths"):
            blob = self._evil.add(ObjectKind.BLOB, b"#!/bin/sh\n")
            entry = b"100644 " + self.attack.encode() + b"\0" + blob
            if self.attack == "paths":
                entry = b"100755 ..\0" + blob
            return self._commit(head, self.attack, tree=self._evil.add(ObjectKind.TREE, entry))
        return CommitId(self._context.entropy.token_bytes(20))

    def _commit(
        self,
        parent: CommitId,
        text: str,
        *,
        author: str = MALLORY,
        tree: bytes = b"",
        wall_time: int = int(WALL_NOW),
    ) -> CommitId:
        named = self._context.me.device_id if author == MALLORY else who(author).device_id
        commit = Commit.build(
            tree=tree or self._base.tree,
            parents=(parent,),
            name=author,
            device=named,
            wall_time=wall_time,
            message=write_content(Text(text)),
            key=self._context.me.device.private_key,
        )
        self._evil.add(ObjectKind.COMMIT, commit.raw)
        return commit.id

    # --- What it tells and opens --------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Always soon, once it is bad."""
        theirs = super().next_deadline()
        if not self.attack:
            return theirs
        return self._due if theirs is None else min(theirs, self._due)

    def advance(self, now: float) -> list[Effect]:
        """Tell lies each second."""
        effects = super().advance(now)
        if not self.attack or now < self._due:
            return effects
        self._due = now + (DRIP if self.attack == "drip" else 1.0)
        for channel, rest in list(self._dripping.items()):
            effects.append(WriteChannel(channel, rest[:1]))
            self._dripping[channel] = rest[1:] or rest
        session = self.sessions.get(self.group)
        for account, target in [] if session is None else session.audience():
            effects += self._lie(account, target, now)
        return effects

    def _lie(self, account: AccountId, target: DeviceId, now: float) -> list[Effect]:
        entropy, wall_now = self._context.entropy, now + self.wall_offset
        lies: list[Notice] = [CommitNotice(self.group, self._evil_head, self._context.me.device_id)]
        effects: list[Effect] = []
        if self.attack == "flood":
            for _ in range(NOTICES_A_SECOND):
                anything = CommitId(entropy.token_bytes(20))
                nobody = DeviceId(entropy.token_bytes(32))
                lies += [
                    CommitNotice(self.group, anything, nobody),
                    Invitation(ConversationId(anything), (("title", "x" * 30_000),)),
                    DisplayedNotice(self.group, anything),
                    ComposingNotice(self.group, is_active=True),
                ]
            if self._opened.get(target, 0) < IDLE_CHANNELS:
                self._opened[target] = self._opened.get(target, 0) + 10
                name = f"git://{target}/{self.group}"
                effects += [OpenChannel(self._context.new_op(), target, name) for _ in range(10)]
        for lie in lies:
            sent = self.messenger.send(account, target, lie, wall_now, dial=True)
            effects += self._context.own_effects(sent)
        return effects

    def channel_opened(self, op: int, channel: int, now: float) -> list[Effect]:
        """Keep what was opened for nothing."""
        if op in self.messenger or op in self._context.channels:
            return super().channel_opened(op, channel, now)
        return []


def _side_band(pack: bytes) -> Iterator[bytes]:
    yield encode(b"NAK\n")
    for start in range(0, len(pack), SIDE_BAND_DATA_MAX):
        yield encode(b"\1" + pack[start : start + SIDE_BAND_DATA_MAX])
    yield FLUSH


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))
