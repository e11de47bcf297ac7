"""Hostile members among honest ones: what they do is refused and explained, and harms nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from shoal.swarm import membership
from shoal.swarm.effects import FetchEnded, MessagesRefused
from shoal.swarm.guests import GUESTS_MAX, PER_ACCOUNT_MAX
from shoal.swarm.records import REQUESTS_PER_SENDER
from shoal.swarm.roles import Role
from tests.sim.hostile_world import Mallory
from tests.sim.swarm_world import SwarmWorld
from tests.sim.test_swarm import begin, head, invite, say, texts
from tests.unit.swarm.people import ALICE, BOB, CAROL, DAVE, MALLORY

if TYPE_CHECKING:
    from shoal.core import ConversationId
    from tests.sim.swarm_world import Device

HONEST: Final = (ALICE, BOB, CAROL, DAVE)
REASONS: Final = {  # what a user can read about each attack, in an event
    "silence": "it says nothing, and others have news",
    "drip": "minutes",
    "garbage": "a pkt-line",
    "refs": "an endless list of references",
    "idle": "endless lines that bring nothing",
    "bomb": "inflated",
    "withhold": "no git object",
    "forge": "its signature is not by its author",
    "deep": "its signature is not by its author",
    "paths": "mode 100755",
    "future": "had expired",
    "flood": "it says nothing, and others have news",
}
MINUTE: Final = 60.0
HEAVY: Final = ("bomb", "flood", "deep")
FETCHES_EACH: Final = 6  # that an attacker may cost in minutes: each waits twice as long as before
JOBS_EACH: Final = 200  # in a thread, most of them about a packet
LASTS: Final = {  # the others a minute
    "drip": 5 * MINUTE,
    "silence": 4 * MINUTE,
    "flood": 40.0,
    "bomb": 20.0,
}


class Siege:
    """Honest people in a group with attackers."""

    def __init__(self, seed: int, attacks: tuple[str, ...]) -> None:
        self.world = SwarmWorld(seed)
        self.honest = [self.world.add(name) for name in HONEST]
        self.group: ConversationId = begin(self.world, *self.honest)
        self.bad = {}
        for attack in attacks:
            device = self.world.add(f"{MALLORY} {attack}", kind=Mallory)
            invite(self.world, self.honest[0], device, self.group)
            self.bad[attack] = device
        self.world.run(20.0)
        for attack, device in self.bad.items():
            assert isinstance(device.engine, Mallory)
            effects = device.engine.begin_attack(self.group, attack, self.world.now)
            self.world.apply(device, effects)

    def talk(self, rounds: int, pause: float) -> None:
        """Let the honest go on talking."""
        for number in range(rounds):
            for device in self.honest:
                say(self.world, device, self.group, f"{device.name} {number}")
                self.world.run(pause)

    def reasons(self, device: Device) -> str:
        """Return all that a device was told about what the attackers do, and that it is them."""
        told = []
        bad = {each.account for each in self.bad.values()}
        for event in device.events:
            if getattr(event, "member", None) not in bad:
                continue
            if isinstance(event, FetchEnded):
                told.append(event.reason)
            elif isinstance(event, MessagesRefused):
                told += [refused.rule for refused in event.refused]
        return "\n".join(told)


def fetches_of(siege: Siege, device: Device) -> int:
    """How many fetches a device has begun."""
    assert device.engine is not None
    return device.engine.sessions[siege.group].stats.fetches


@pytest.mark.parametrize("attack", REASONS)
def test_an_attack_harms_nobody(attack: str) -> None:
    """All honest devices have all that the honest said, soon, and read why they lack the rest."""
    siege = Siege(1, (attack,))
    siege.world.run(5.0)
    siege.talk(2, 1.0)
    siege.world.run(LASTS.get(attack, MINUTE))

    expected = {f"{name} {number}" for name in HONEST for number in range(2)}
    for device in siege.honest:
        assert set(texts(device, siege.group)) == expected
    assert len({head(device, siege.group) for device in siege.honest}) == 1
    assert any(REASONS[attack] in siege.reasons(device) for device in siege.honest)


def test_all_attacks_at_once() -> None:
    """More attackers than honest people: news arrives within minutes.

    Those that cost the most time, theirs as ours, are left to themselves: see above.
    """
    siege = Siege(2, tuple(attack for attack in REASONS if attack not in HEAVY))
    before = {device: (fetches_of(siege, device), device.jobs) for device in siege.honest}
    siege.talk(3, 1.0)
    siege.world.run(5 * MINUTE)

    expected = {f"{name} {number}" for name in HONEST for number in range(3)}
    for device in siege.honest:
        assert set(texts(device, siege.group)) == expected
        assert device.engine is not None
        guests = [
            pipe
            for pipe in siege.world.pipes.values()
            if pipe.is_open and pipe.ends[1] is device and pipe.name.startswith("git:")
        ]
        assert len(guests) <= GUESTS_MAX
        assert len(device.engine.book.requests) <= REQUESTS_PER_SENDER * len(REASONS)
    assert len({head(device, siege.group) for device in siege.honest}) == 1
    # Each of them tells a lie a second, to each device: some 250 in all.
    for device, (fetches, jobs) in before.items():
        assert fetches_of(siege, device) - fetches <= FETCHES_EACH * len(siege.bad) + len(expected)
        assert device.jobs - jobs <= JOBS_EACH * len(siege.bad)


def test_a_banned_attacker_is_out() -> None:
    """Its channels are closed, it is not fetched from, and what it says next reaches nobody."""
    siege = Siege(3, ("flood",))
    siege.world.run(20.0)
    bad = siege.bad["flood"]
    assert bad.engine is not None
    alice = siege.honest[0]
    assert alice.engine is not None
    open_to_bad = sum(
        pipe.is_open and {alice, bad} == set(pipe.ends) and pipe.name.startswith("git:")
        for pipe in siege.world.pipes.values()
    )
    assert 0 < open_to_bad <= PER_ACCOUNT_MAX + 2
    command = lambda each, wall_now: membership.ban(each, bad.account, wall_now)  # noqa: E731
    siege.world.ask(alice, lambda engine, op, now: engine.change(op, siege.group, command, now))
    siege.world.run(20.0)
    siege.talk(1, 1.0)
    siege.world.run(MINUTE)

    for device in siege.honest:
        assert device.engine is not None
        view = device.engine.sessions[siege.group].view
        assert view is not None
        assert view.members[bad.account] is Role.BANNED
        assert not any(
            pipe.is_open and {device, bad} == set(pipe.ends) and not pipe.name.startswith("msg:")
            for pipe in siege.world.pipes.values()
        )
        assert set(texts(device, siege.group)) == {f"{name} 0" for name in HONEST}
