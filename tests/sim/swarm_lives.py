"""Lives of a group, from a seed: people with several devices each, who talk, invite and ban.

Devices are cut off from each other, stop, and crash before or after any write. In the end all come
back, and what must hold is looked at: each device of each member has the same history, and in it is
everything that was acknowledged.
"""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING, Final

from shoal.core import ConversationId
from shoal.swarm import (
    membership,
    pack_infos,
    pack_requests,
    unpack_all_marks,
    unpack_all_preferences,
    unpack_infos,
    unpack_requests,
)
from shoal.swarm.contents import Edit, Text
from shoal.swarm.effects import Done
from shoal.swarm.errors import SwarmError
from shoal.swarm.roles import Role
from tests.sim.swarm_world import SwarmWorld

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.core import AccountId, CommitId
    from shoal.swarm import Conversation
    from shoal.swarm.conversation import Event
    from shoal.swarm.effects import Effect
    from shoal.swarm.engine import SwarmEngine
    from tests.sim.swarm_world import Device

DEVICES_EACH: Final = (1, 1, 2, 3, 4)  # how many devices people have, one after the other
WRITES: Final = 400  # of a short life at most, more or less
TURNS: Final = 30  # of a short life
SETTLING: Final = 180.0  # seconds in which all must have become equal
ACTS: Final = {
    "say": 60,
    "edit": 4,
    "invite": 8,
    "answer": 14,
    "leave": 3,
    "ban": 3,
    "unban": 3,
    "stop": 6,
    "start": 12,
    "part": 4,
    "heal": 5,
    "wait": 10,
}


class Lives:
    """A group and what became of it."""

    def __init__(self, seed: int, devices: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - seeded chance is the point
        self.world = SwarmWorld(seed)
        self.devices: list[Device] = []
        self.said: dict[str, tuple[AccountId, CommitId]] = {}  # what was acknowledged
        self.left: set[AccountId] = set()
        self.banned: set[AccountId] = set()
        self.crash_rate = 0.0
        self.crash_count = 0
        number = 0
        while len(self.devices) < devices:
            for device in range(DEVICES_EACH[number % len(DEVICES_EACH)]):
                if len(self.devices) < devices:
                    self.devices.append(self.world.add(f"person {number}", device))
            number += 1
        self.founder = self.devices[0]
        found = self.world.ask(self.founder, lambda engine, op, now: engine.create(op, now))
        assert isinstance(found, ConversationId)
        self.group = found

    # --- What is done -------------------------------------------------------------------------

    def gather(self) -> None:
        """Let most of the people join before anything goes wrong."""
        for device in self.devices:
            if not device.number and device is not self.founder and self.chance.random() < 0.85:
                self._change(self.founder, membership.invite, device.account)
        for _ in range(8):
            self.world.run(8.0)
            self.act_answer()
            self.sync()
        self.world.run(20.0)

    def play(self, turns: int, crash_rate: float) -> None:
        """Let *turns* things happen, with a crash at each write with this probability."""
        self.crash_rate = crash_rate
        self.world.crashes = self._crashes
        acts, weights = list(ACTS), list(ACTS.values())
        for _ in range(turns):
            act = self.chance.choices(acts, weights)[0]
            getattr(self, f"act_{act}")()
            self.sync()
            self.world.run(self.chance.choice((0.0, 0.1, 0.5, 2.0)))
        self.world.crashes = None

    def settle(self) -> None:
        """Bring everybody back."""
        self.world.heal()
        for device in self.devices:
            if not device.is_online:
                self.world.start(device)
        for _ in range(6):
            self.sync()
            self.world.run(SETTLING / 6)

    def sync(self) -> None:
        """Let devices of one account tell each other what they know, as their host does."""
        for device in self.devices:
            for other in self.devices:
                if device is other or device.account != other.account:
                    continue
                if device.group == other.group and device.engine and other.engine:
                    self._tell(device.engine, other, other.engine)

    def _tell(self, engine: SwarmEngine, other: Device, others: SwarmEngine) -> None:
        """Give what an engine shares to another one of the account, packed as on the wire."""
        infos, requests = engine.shared_records()
        states = engine.shared_states()
        effects = others.synced(
            unpack_infos(pack_infos(infos)).values(),
            unpack_requests(pack_requests(requests)).values(),
            self.world.now,
            preferences=unpack_all_preferences(states.preferences),
            marks=unpack_all_marks(states.statuses),
        )
        self.world.apply(other, effects)

    def act_say(self) -> None:
        """Somebody says something."""
        device = self._somebody()
        if device is None:
            return
        text = f"{device.name}/{device.number} at {self.world.now:.3f}"
        answer = self._ask(
            device, lambda engine, op, now: engine.say(op, self.group, Text(text), now)
        )
        if isinstance(answer, Done):
            assert isinstance(answer.result, tuple)
            self.said[text] = (device.account, answer.result[0].commit.id)

    def act_edit(self) -> None:
        """Somebody edits what they said."""
        device = self._somebody()
        if device is None:
            return
        own = [commit for account, commit in self.said.values() if account == device.account]
        if own:
            edit = Edit(self.chance.choice(own), f"edited at {self.world.now:.3f}")
            self._ask(device, lambda engine, op, now: engine.say(op, self.group, edit, now))

    def act_invite(self) -> None:
        """Somebody invites somebody, who may be there already."""
        host = self._somebody()
        if host is not None:
            guest = self.chance.choice(self.devices)
            self._change(host, membership.invite, guest.account)

    def act_answer(self) -> None:
        """Whoever was invited accepts, on one of their devices; a few decline."""
        for device in self.devices:
            engine = device.engine
            if engine is None or self.group not in engine.book.requests:
                continue
            if self.chance.random() < 0.03:
                self._ask(device, lambda engine, op, now: engine.decline(op, self.group, now))
            else:
                self._ask(device, lambda engine, op, now: engine.accept(op, self.group, now))

    def act_leave(self) -> None:
        """Somebody leaves, but for the only administrator."""
        device = self._somebody()
        if device is not None and device.account != self.founder.account:
            self.left.add(device.account)
            self._ask(device, lambda engine, op, now: engine.leave(op, self.group, now))

    def act_ban(self) -> None:
        """The administrator bans somebody."""
        guest = self.chance.choice(self.devices)
        if guest.account != self.founder.account and self._is_there(self.founder):
            self.banned.add(guest.account)
            self._change(self.founder, membership.ban, guest.account)

    def act_unban(self) -> None:
        """The administrator takes somebody back."""
        if self._is_there(self.founder):
            banned = [
                account for account, role in self._view(self.founder).items() if role is Role.BANNED
            ]
            if banned:
                self._change(self.founder, membership.unban, self.chance.choice(banned))

    def act_stop(self) -> None:
        """A device is switched off."""
        device = self.chance.choice(self.devices)
        if device.is_online:
            self.world.stop(device)

    def act_start(self) -> None:
        """A few devices are switched on again."""
        for device in self.devices:
            if not device.is_online and self.chance.random() < 0.4:
                self.world.start(device)

    def act_part(self) -> None:
        """The network falls into two or three pieces."""
        pieces: list[list[Device]] = [[] for _ in range(self.chance.choice((2, 3)))]
        for device in self.devices:
            self.chance.choice(pieces).append(device)
        self.world.partition(*pieces)

    def act_heal(self) -> None:
        """The network is whole again."""
        self.world.heal()

    def act_wait(self) -> None:
        """Nothing happens for a while."""
        self.world.run(10.0)

    # --- What must hold -----------------------------------------------------------------------

    def check(self) -> None:
        """Compare all devices of all members.

        Raises:
            AssertionError: two differ, or something that was acknowledged is not there.
        """
        members = self._view(self.founder)
        reference = self._history(self.founder)
        words = set(reference.values())
        for device in self.devices:
            role = members.get(device.account)
            if role is None or not role.is_inside:
                continue
            if device.account in self.left & self.banned and not self._is_there(device):
                continue  # they left while they were banned, and were unbanned: merged, they stay
            assert self._is_there(device), f"{device.name}/{device.number} lacks the conversation"
            assert self._view(device) == members, f"{device.name}/{device.number}: other members"
            history = self._history(device)
            assert history == reference, (
                f"{device.name}/{device.number} differs by {sorted(set(history.values()) ^ words)}"
            )
            assert list(history) == list(reference), "another order"
        lost = [
            text
            for text, (account, _) in self.said.items()
            if text not in words
            and account in members
            # Who was out at times may have spoken to nobody.
            and account not in self.left | self.banned
        ]
        assert not lost, f"acknowledged and lost: {lost}"
        heads = {
            self._head(device)
            for device in self.devices
            if (role := members.get(device.account)) is not None
            and role.is_inside
            and self._is_there(device)
        }
        assert len(heads) == 1, f"{len(heads)} heads"

    # --- Inside -------------------------------------------------------------------------------

    def _crashes(self, device: Device) -> bool:
        if self.chance.random() >= self.crash_rate:
            return False
        self.crash_count += 1
        return True

    def _somebody(self) -> Device | None:
        there = [device for device in self.devices if self._is_there(device)]
        return self.chance.choice(there) if there else None

    def _is_there(self, device: Device) -> bool:
        if device.engine is None or not device.engine.book.is_in(self.group):
            return False
        session = device.engine.sessions.get(self.group)
        return session is not None and session.is_ready

    def _view(self, device: Device) -> dict[AccountId, Role]:
        assert device.engine is not None
        view = device.engine.sessions[self.group].view
        assert view is not None
        return view.members

    def _head(self, device: Device) -> CommitId:
        assert device.engine is not None
        view = device.engine.sessions[self.group].view
        assert view is not None
        return view.head

    def _history(self, device: Device) -> dict[CommitId, str]:
        """Return all messages, oldest first, with their texts."""
        assert device.engine is not None
        conversation = device.engine.sessions[self.group].conversation
        assert conversation is not None
        return {
            message.commit.id: message.content.body if isinstance(message.content, Text) else ""
            for message in reversed(list(conversation.messages()))
        }

    def _ask(
        self, device: Device, command: Callable[[SwarmEngine, int, float], list[Effect]]
    ) -> Done | None:
        """Give a command; None if it failed, or the device crashed before it was acknowledged."""
        if device.engine is None:
            return None
        try:
            return Done(0, self.world.ask(device, command))
        except (SwarmError, KeyError):
            return None

    def _change(
        self,
        device: Device,
        change: Callable[[Conversation, AccountId, float], list[Event]],
        account: AccountId,
    ) -> Done | None:
        return self._ask(
            device,
            lambda engine, op, now: engine.change(
                op,
                self.group,
                lambda conversation, wall_now: change(conversation, account, wall_now),
                now,
            ),
        )


def group_of(devices: int, turns: int, crash_rate: float, seed: int) -> Lives:
    """Play a group of so many devices, and look at what must hold."""
    lives = Lives(seed, devices)
    lives.gather()
    lives.play(turns, crash_rate)
    lives.settle()
    lives.check()
    return lives


class OneCrash(Lives):
    """A short life in which one write, that with this number, is the last of its device.

    They are counted from 1, so that with 0 nobody crashes.
    """

    def __init__(self, seed: int, write: int) -> None:
        super().__init__(seed, devices=6)
        self.left_to_crash = write
        self.write_count = 0

    def _crashes(self, device: Device) -> bool:
        self.write_count += 1
        self.left_to_crash -= 1
        if self.left_to_crash != 0:
            return False
        self.crash_count += 1
        return True


@cache
def count_writes(life: int) -> int:
    """Play a life without a crash, and return how many writes could have been the last one."""
    lives = OneCrash(life, 0)
    lives.gather()
    lives.play(TURNS, 0.0)
    return lives.write_count


def writes(seed: int) -> None:
    """The same life again and again, with a crash at each write in turn: the seed is its number."""
    life, number = divmod(seed, WRITES)
    lives = OneCrash(life, 1 + number % count_writes(life))
    lives.gather()
    lives.play(TURNS, 0.0)
    assert lives.crash_count == 1, "up to the crash it is the life that was counted"
    lives.settle()
    lives.check()


def conversations(seed: int) -> None:
    """A small group with a hard life."""
    chance = random.Random(seed)  # noqa: S311 - seeded chance is the point
    group_of(chance.randint(5, 12), 60, chance.choice((0.0, 0.002, 0.02)), seed)


def crowds(seed: int) -> None:
    """Fifty devices of two dozen people."""
    group_of(50, 40, 0.002, seed)
