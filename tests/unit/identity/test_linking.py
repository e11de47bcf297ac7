"""Linking a device over a channel: both engines, joined by a wire, and each against a stranger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core import Compute
from shoal.identity import linking as module
from shoal.identity.archive import Archive, pack_archive, unpack_archive, unpack_text
from shoal.identity.chain import check_device
from shoal.identity.contact import Contact
from shoal.identity.errors import (
    ArchivePasswordError,
    LinkCanceledError,
    LinkError,
    LinkNetworkError,
    LinkPasswordError,
    LinkProtocolError,
    LinkTimeoutError,
)
from shoal.identity.linking import (
    LINK_TIMEOUT,
    CloseChannel,
    ConnectChannel,
    LinkChanged,
    LinkEffect,
    LinkEnded,
    LinkNewDevice,
    LinkOldDevice,
    LinkState,
    WriteChannel,
    temporary_keys,
)
from shoal.identity.wire.linking import LinkAddress, LinkMessage
from shoal.sim.entropy import SeededEntropy
from tests.unit.identity.samples import WALL, account, account_id, device_id, rsa_key

if TYPE_CHECKING:
    from collections.abc import Callable

PASSWORD = "secret"  # noqa: S105 - of this test
ADDRESS = LinkAddress(device_id(1), 123_456)
ARCHIVE = Archive(account("alice").keys)
PLAIN = pack_archive(ARCHIVE)
SEALED = b"sealed: " + PLAIN  # opened by `quick_open`: argon2 has tests of its own


@pytest.fixture(autouse=True)
def quick_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the password be `secret`, and take no second to check."""

    def quick(unpack: Callable[..., object]) -> Callable[[bytes, str], object]:
        def run(data: bytes, password: str = "") -> object:
            if data is SEALED and password != PASSWORD:
                raise ArchivePasswordError
            return unpack(data.removeprefix(b"sealed: "))

        return run

    monkeypatch.setattr(module, "unpack_archive", quick(unpack_archive))
    monkeypatch.setattr(module, "unpack_text", quick(unpack_text))


@dataclass
class Wire:
    """Two devices and the channel between them; the user types what is in *passwords*."""

    old: LinkOldDevice
    passwords: list[str] = field(default_factory=list)
    packet_size: int = 7
    is_agreed: bool = True
    now: float = 0.0
    new: LinkNewDevice = field(init=False)
    seen: dict[str, list[LinkChanged]] = field(init=False)
    ends: dict[str, LinkEnded] = field(default_factory=dict)
    is_open: bool = False

    def __post_init__(self) -> None:
        self.new = LinkNewDevice(ADDRESS, self.now)
        self.seen = {"old": [], "new": []}

    def play(self) -> None:
        """Do all that users and drivers do."""
        self.take("new", self.new.start(self.now))
        self.take("old", self.old.start(self.now))

    def take(self, who: str, effects: list[LinkEffect]) -> None:
        """Carry out what an engine wants."""
        mine, peer = (self.old, self.new) if who == "old" else (self.new, self.old)
        other = "new" if who == "old" else "old"
        for effect in effects:
            match effect:
                case ConnectChannel(device, name):
                    assert device == ADDRESS.device
                    assert self.new.accepts(name)
                    self.is_open = True
                    self.take("new", self.new.channel_opened(self.now))
                    assert not self.new.accepts(name), "one channel"
                    self.take("old", self.old.channel_opened("192.0.2.7", self.now))
                case WriteChannel(data):
                    assert self.is_open
                    for start in range(0, len(data), self.packet_size):
                        packet = data[start : start + self.packet_size]
                        self.take(other, peer.receive(packet, self.now))
                case CloseChannel():
                    self.is_open = False
                    self.take(other, peer.receive_eof(self.now))
                case Compute(number, job):
                    assert isinstance(mine, LinkOldDevice)
                    self.take(who, mine.computed(number, job(), self.now))
                case LinkChanged():
                    self.seen[who].append(effect)
                    self.answer(who, effect)
                case LinkEnded():
                    assert who not in self.ends, "ended twice"
                    self.ends[who] = effect

    def answer(self, who: str, changed: LinkChanged) -> None:
        """Be the user."""
        if changed.needs_password and self.passwords:
            self.take("new", self.new.give_password(self.passwords.pop(0), self.now))
        if changed.peer_address and self.is_agreed:
            self.take("old", self.old.confirm(self.now))

    def states(self, who: str) -> list[LinkState]:
        """Return what a user was shown."""
        return [each.state for each in self.seen[who]]


def test_an_account_without_password() -> None:
    """The new device has the account; nobody typed anything."""
    wire = Wire(LinkOldDevice(ADDRESS, PLAIN, 0.0))
    wire.play()

    assert wire.ends == {"old": LinkEnded(), "new": LinkEnded(archive=ARCHIVE)}
    assert not wire.is_open
    assert wire.states("new") == [
        LinkState.SHOWING,
        LinkState.CONNECTING,
        LinkState.IN_PROGRESS,
        LinkState.DONE,
    ]
    assert wire.states("old") == [
        LinkState.CONNECTING,
        LinkState.AUTHENTICATING,
        LinkState.IN_PROGRESS,
        LinkState.DONE,
    ]
    assert wire.seen["old"][1].peer_address == "192.0.2.7"


def test_an_account_with_password() -> None:
    """Wrong twice, then right; with the contacts of today."""
    contacts = {account_id(1): Contact(5000, 0)}
    current = Archive(ARCHIVE.keys, contacts, {"Account.displayName": "Alice"})
    wire = Wire(LinkOldDevice(ADDRESS, SEALED, 0.0, current=current), ["no", "neither", "secret"])
    wire.play()

    assert wire.ends == {"old": LinkEnded(), "new": LinkEnded(archive=current)}
    asked = [each for each in wire.seen["new"] if each.needs_password]
    assert [each.is_wrong for each in asked] == [False, True, True]


def test_three_wrong_passwords_end_it() -> None:
    """On both sides, and the channel is closed."""
    wire = Wire(LinkOldDevice(ADDRESS, SEALED, 0.0), ["one", "two", "three", "four"])
    wire.play()

    assert {type(end.error) for end in wire.ends.values()} == {LinkPasswordError}
    assert wire.passwords == ["four"]
    assert not wire.is_open


def test_nothing_is_said_before_the_user_agrees() -> None:
    """A device that somebody else shows gets nothing, not even a question."""
    wire = Wire(LinkOldDevice(ADDRESS, PLAIN, 0.0), is_agreed=False)
    wire.play()

    assert wire.ends == {}
    assert wire.states("new") == [LinkState.SHOWING, LinkState.CONNECTING]
    assert wire.old.receive(LinkMessage({"password": ""}).pack(), 1.0) == []


def test_five_minutes_are_all() -> None:
    """Either side gives up, and tells the other."""
    for who in ("old", "new"):
        wire = Wire(LinkOldDevice(ADDRESS, PLAIN, 0.0), is_agreed=False)
        wire.play()
        engine = getattr(wire, who)
        assert engine.next_deadline() == LINK_TIMEOUT
        assert engine.advance(LINK_TIMEOUT - 1) == []
        wire.take(who, engine.advance(LINK_TIMEOUT))

        assert {type(end.error) for end in wire.ends.values()} == {LinkTimeoutError}
        assert engine.next_deadline() is None
        assert engine.advance(LINK_TIMEOUT) == []


def test_either_side_may_cancel() -> None:
    """The other is told so, and not merely left."""
    for who in ("old", "new"):
        wire = Wire(LinkOldDevice(ADDRESS, PLAIN, 0.0), is_agreed=False)
        wire.play()
        wire.take(who, getattr(wire, who).cancel(1.0))

        assert {type(end.error) for end in wire.ends.values()} == {LinkCanceledError}
        assert getattr(wire, who).cancel(2.0) == []


def test_a_lost_connection_ends_it() -> None:
    """Before it was there, and after."""
    old = LinkOldDevice(ADDRESS, PLAIN, 0.0)
    old.start(0.0)
    assert isinstance(_error(old.channel_failed("no way", 1.0)), LinkNetworkError)
    assert old.channel_opened("192.0.2.7", 2.0) == []
    new = LinkNewDevice(ADDRESS, 0.0)
    new.start(0.0)
    new.channel_opened(0.0)
    ended = new.channel_closed(1.0)
    assert isinstance(_error(ended), LinkNetworkError)
    assert not any(isinstance(effect, CloseChannel) for effect in ended), "it is closed"
    assert new.channel_opened(2.0) == []
    assert new.receive(b"x", 2.0) == []


@pytest.mark.parametrize(
    "data",
    [
        msgpack.packb({"schemeId": 1, "payload": {}}),
        b"\xc1",
        LinkMessage({"accData": "no account"}).pack(),
        LinkMessage({"authScheme": "of the future"}).pack(),
        LinkMessage({"stateMsg": "of the future"}).pack(),
    ],
)
def test_what_is_no_part_of_it_ends_it(data: bytes) -> None:
    """With an error that says whose fault it is."""
    new = _opened()

    assert isinstance(_error(new.receive(data + data, 1.0)), LinkProtocolError)
    assert new.receive(data, 2.0) == []


def test_the_old_device_is_as_strict() -> None:
    """And a giant message is refused at its header."""
    for data in (b"\xc1", b"\xdb\x7f\xff\xff\xff"):
        old = LinkOldDevice(ADDRESS, PLAIN, 0.0)
        old.start(0.0)
        old.channel_opened("192.0.2.7", 0.0)
        ended = old.receive(data, 1.0)
        assert isinstance(_error(ended), LinkProtocolError)
        assert WriteChannel(LinkMessage({"stateMsg": "CANCELED"}).pack()) in ended
        assert old.receive(data, 1.0) == []


def test_what_follows_the_end_in_one_packet_is_not_heard() -> None:
    """A farewell, and then a password."""
    old = LinkOldDevice(ADDRESS, PLAIN, 0.0)
    old.start(0.0)
    old.channel_opened("192.0.2.7", 0.0)
    old.confirm(0.0)
    farewell = LinkMessage({"stateMsg": "CANCELED"}).pack()

    ended = old.receive(LinkMessage().pack() + farewell + LinkMessage({"password": ""}).pack(), 0.0)

    assert isinstance(_error(ended), LinkCanceledError)
    assert not any(isinstance(effect, Compute) for effect in ended)


def test_what_later_versions_may_say_is_passed_over() -> None:
    """Further fields, and the scheme a second time."""
    new = _opened()

    assert new.receive(LinkMessage({"news": "x"}).pack(), 1.0) == []
    assert new.receive(LinkMessage({"authScheme": ""}).pack(), 1.0) != []
    assert new.receive(LinkMessage({"authScheme": ""}).pack(), 1.0) == []
    assert new.give_password("unasked", 1.0) == []


def test_passwords_are_checked_one_at_a_time() -> None:
    """A flood of them waits for none but the first; a late result is not heard."""
    old = LinkOldDevice(ADDRESS, SEALED, 0.0)
    old.start(0.0)
    old.channel_opened("192.0.2.7", 0.0)
    old.confirm(0.0)
    assert old.confirm(0.0) == [], "once"
    guess = LinkMessage({"password": "guess"}).pack()
    assert old.receive(guess, 0.0) == [], "before the greeting"

    effects = old.receive(LinkMessage().pack() + guess * 50, 0.0)
    jobs = [effect for effect in effects if isinstance(effect, Compute)]
    assert len(jobs) == 1
    assert old.computed(9, "account", 0.0) == []
    old.cancel(1.0)
    assert old.computed(jobs[0].id, "account", 2.0) == []


def test_an_archive_that_cannot_be_read_is_no_wrong_password() -> None:
    """The fault is ours, and is said."""
    wire = Wire(LinkOldDevice(ADDRESS, b"\x1f\x8b\x08 damaged", 0.0))
    wire.play()
    assert type(wire.ends["old"].error) is LinkError
    assert isinstance(wire.ends["new"].error, LinkCanceledError)


def test_a_throw_away_device_has_a_chain_of_its_own() -> None:
    """Names and keys as Jami's: an authority on a curve, a user, a device."""
    keys = temporary_keys(
        rsa_key("user"), rsa_key("device"), entropy=SeededEntropy(1), wall_now=WALL
    )
    chain = check_device(keys.identity.certificate, WALL, device=keys.device)

    assert [link.name for link in keys.identity.certificate.chain()] == [
        "Jami Temporary device",
        "Jami Temporary User",
        "Jami Temporary CA",
    ]
    assert chain.account == rsa_key("user").public_key.id


def test_passwords_and_accounts_are_not_shown() -> None:
    """Neither in effects nor in messages."""
    new = _opened()
    new.receive(LinkMessage({"authScheme": "password"}).pack(), 0.0)

    assert "secret" not in repr(new.give_password("secret", 0.0))
    assert "PRIVATE" not in repr(LinkEnded(archive=ARCHIVE))


@settings(max_examples=60)
@given(
    st.lists(
        st.binary(max_size=40)
        | st.dictionaries(
            st.sampled_from(("authScheme", "password", "accData", "canRetry", "stateMsg", "x")),
            st.sampled_from(("", "password", "false", "TIMEOUT", "{}")),
            max_size=3,
        ).map(lambda payload: LinkMessage(payload).pack()),
        max_size=8,
    ),
    st.booleans(),
)
def test_whatever_comes_ends_at_most_once(packets: list[bytes], is_old: bool) -> None:
    """Never an exception; after the end nothing follows; the deadline is the end at last."""
    engine: LinkNewDevice | LinkOldDevice
    if is_old:
        engine = LinkOldDevice(ADDRESS, PLAIN, 0.0)
        effects = [*engine.start(0.0), *engine.channel_opened("x", 0.0), *engine.confirm(0.0)]
    else:
        engine = LinkNewDevice(ADDRESS, 0.0)
        effects = [*engine.start(0.0), *engine.channel_opened(0.0)]
    for packet in packets:
        effects += engine.receive(packet, 1.0)
    effects += engine.advance(LINK_TIMEOUT)

    ends = [effect for effect in effects if isinstance(effect, LinkEnded)]
    assert len(ends) == 1
    assert effects[-1] == ends[0]
    assert engine.is_over


def _opened() -> LinkNewDevice:
    """Return a new device with an open channel."""
    new = LinkNewDevice(ADDRESS, 0.0)
    new.start(0.0)
    new.channel_opened(0.0)
    return new


def _error(effects: list[LinkEffect]) -> LinkError | None:
    """Return the error in the one end that there is."""
    (ended,) = (effect for effect in effects if isinstance(effect, LinkEnded))
    return ended.error
