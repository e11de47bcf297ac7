"""Who gets our profile, who may ask, and what is kept of others."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import AccountId, ConversationId, DecodeError, DeviceId, Persist
from shoal.node.account import profiles
from shoal.node.account.profiles import (
    AskProfile,
    ProfileEngine,
    ProfileState,
    PushProfile,
    Summary,
)
from shoal.node.events import ProfileReceived
from shoal.swarm.vcards import VCARD_SIZE_MAX, VCard, read_vcard, write_person
from shoal.transfer import OwnProfile, ProfilePush, ProfileQuestion, parse_name
from tests.unit.swarm.test_vcards import PNG

US, BOB, EVE = (AccountId(bytes([number]) * 20) for number in (1, 2, 3))
OURS, OTHER, BOBS = (DeviceId(bytes([number]) * 32) for number in (1, 2, 3))
REEF = ConversationId(b"r" * 20)
ADA = VCard("Ada", picture=PNG)


@pytest.fixture
def engine() -> ProfileEngine:
    """Ours, with bob in one conversation."""
    return engine_of(ProfileState())


def engine_of(state: ProfileState) -> ProfileEngine:
    """An engine that goes on with *state*."""
    return ProfileEngine(
        US, OURS, VCard("Ada"), state, shared_with=lambda who: [REEF] if who == BOB else []
    )


def test_each_device_gets_each_version_once(engine: ProfileEngine) -> None:
    """Under a name that tells both generations what it is; again only if it has changed."""
    (push,) = engine.connected(BOB, BOBS)
    assert isinstance(push, PushProfile)
    assert push.data == write_person(VCard("Ada"))
    found = parse_name(push.name)
    assert found == ProfilePush(REEF, OURS)
    assert push.plain_name == f"data-transfer://{REEF}/{OURS}/profile.vcf"
    assert engine.connected(BOB, BOBS) == []
    assert engine.pushed(push, is_taken=False) == []
    (again,) = engine.connected(BOB, BOBS)
    assert again == push
    (kept,) = engine.pushed(push, is_taken=True)
    assert isinstance(kept, Persist)
    assert engine.connected(BOB, BOBS) == []
    assert engine_of(ProfileState.unpack(kept.data)).connected(BOB, BOBS) == []
    assert engine.connected(EVE, OTHER) == []

    own, kept, push = engine.set_own(ADA, [(BOB, BOBS), (EVE, OTHER)], 100.0)
    assert isinstance(own, Persist)
    assert (own.name, read_vcard(own.data)) == ("profile.vcf", ADA)
    assert isinstance(push, PushProfile)
    assert read_vcard(push.data) == ADA
    assert engine.own == ADA


def test_our_other_devices(engine: ProfileEngine) -> None:
    """Nothing is told of a name alone; the one that changed it last is right."""
    assert engine.connected(US, OTHER) == []
    engine.renamed("Ada L.")
    assert engine.own == VCard("Ada L.")
    theirs = write_person(ADA)
    digest = hashlib.sha3_512(theirs).hexdigest()
    assert engine.pushed_to_us(US, OTHER, OwnProfile("00", 100), theirs, 0.0) == []
    *_, told = engine.pushed_to_us(US, OTHER, OwnProfile(digest, 100), theirs, 0.0)
    assert told == ProfileReceived(US, US, "Ada", has_picture=True)
    assert engine.state.wall_modified == 100
    assert engine.connected(US, OTHER) == []
    engine.renamed("never mind")
    assert engine.own == ADA

    older = write_person(VCard("older"))
    (kept,) = engine.pushed_to_us(US, OTHER, OwnProfile("", 99), older, 0.0)
    assert isinstance(kept, Persist)
    assert engine.own == ADA
    engine.set_own(VCard("newer"), [], 50.0)
    assert engine.state.wall_modified == 101
    (push,) = engine.connected(US, OTHER)
    assert isinstance(push, PushProfile)
    digest = hashlib.sha3_512(push.data).hexdigest()
    assert push.name.endswith(f"profile.vcf?sha3={digest}&modified={2**64 + 101 - 6_437_664_000}")
    assert parse_name(push.name) == OwnProfile(digest, 2**64 + 101 - 6_437_664_000)
    assert push.plain_name == "data-transfer://profile.vcf"


def test_a_device_of_ours_that_says_no_time(engine: ProfileEngine) -> None:
    """13.7 is believed where we have nothing, or where it has another one than before."""
    first, second = write_person(VCard("first")), write_person(VCard("second"))
    engine.pushed_to_us(US, OTHER, OwnProfile(), first, 10.0)
    assert (engine.own.name, engine.state.wall_modified) == ("first", 10)
    engine.set_own(VCard("ours"), [], 20.0)
    engine.pushed_to_us(US, OTHER, OwnProfile(), first, 30.0)
    assert engine.own.name == "ours"
    engine.pushed_to_us(US, OTHER, OwnProfile(), second, 40.0)
    assert (engine.own.name, engine.state.wall_modified) == ("second", 40)
    assert engine.pushed_to_us(US, OTHER, OwnProfile("", 50), b"", 50.0) == []


def test_who_may_open_what(engine: ProfileEngine) -> None:
    """Members push theirs and ask for ours; our devices ask for anybody's."""
    push, question = ProfilePush(REEF, BOBS), ProfileQuestion(REEF, US)
    assert engine.accepts(BOB, push)
    assert not engine.accepts(EVE, push)
    assert not engine.accepts(US, push)
    assert not engine.accepts(BOB, ProfilePush(REEF, OURS))
    assert not engine.accepts(BOB, ProfilePush(ConversationId(bytes(20)), BOBS))
    assert engine.accepts(BOB, question)
    assert not engine.accepts(EVE, question)
    assert not engine.accepts(BOB, ProfileQuestion(REEF, EVE))
    assert engine.accepts(US, ProfileQuestion(REEF, EVE))
    assert engine.accepts(US, OwnProfile())
    assert not engine.accepts(BOB, OwnProfile())


def test_what_others_look_like(engine: ProfileEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept before it is told; the same again, nonsense and our own are not."""
    data = write_person(VCard("Bob", picture=PNG))
    kept, _, told = engine.pushed_to_us(BOB, BOBS, ProfilePush(REEF, BOBS), data, 0.0)
    assert kept == Persist(f"profiles/{BOB}.vcf", data)
    assert told == ProfileReceived(US, BOB, "Bob", has_picture=True)
    assert engine.people[BOB] == Summary("Bob", True, hashlib.sha3_512(data).digest())
    assert engine.received(BOB, data) == []
    assert engine.received(US, data) == []
    for nonsense in (b"", b"nonsense", bytes(VCARD_SIZE_MAX + 1)):
        assert engine.received(EVE, nonsense) == []
    monkeypatch.setattr(profiles, "PEOPLE_MAX", 1)
    assert engine.received(EVE, data) == []


def test_what_is_cut_off_replaces_nothing(engine: ProfileEngine) -> None:
    """Half a vCard, of somebody or of ours, wherever it ends; who gave it is asked again."""
    whole = write_person(VCard("Bob", picture=PNG))
    engine.received(BOB, whole)
    engine.set_own(ADA, (), 1_000.0)
    newer = write_person(VCard("Bobby", picture=PNG))
    for size in range(len(newer) - len("\n")):
        assert engine.pushed_to_us(BOB, BOBS, ProfilePush(REEF, BOBS), newer[:size], 0.0) == []
        name = OwnProfile(wall_modified=2**62)
        assert engine.pushed_to_us(US, OTHER, name, newer[:size], 2_000.0) == []
    assert engine.people[BOB].name == "Bob"
    assert engine.own == ADA
    assert engine.state.heard == {}
    (order,) = engine.wanted([(EVE, REEF)], OTHER)
    assert isinstance(order, AskProfile)
    assert engine.answered(order, newer[:-5]) == []
    assert engine.wanted([(EVE, REEF)], OTHER) == [order]
    assert len(engine.answered(order, newer)) == 3
    assert engine.people[EVE].name == "Bobby"


def test_a_device_of_ours_is_asked(engine: ProfileEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """For whom we do not know, once each, and not for ever so many."""
    engine.received(BOB, write_person(VCard("Bob")))
    people = [(US, REEF), (BOB, REEF), (EVE, REEF)]
    name = f"data-transfer://{REEF}/profile/{EVE}.vcf"
    assert engine.wanted(people, OTHER) == [AskProfile(EVE, OTHER, name)]
    assert parse_name(name) == ProfileQuestion(REEF, EVE)
    assert engine.wanted(people, OTHER) == []
    engine.unanswered(AskProfile(EVE, OTHER, name))
    assert engine.wanted(people, OTHER) == [AskProfile(EVE, OTHER, name)]
    monkeypatch.setattr(profiles, "ASKED_MAX", 0)
    assert engine.wanted(people, BOBS) == []


def test_what_devices_have_is_limited(
    engine: ProfileEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that got it first is forgotten: it gets it once more."""
    monkeypatch.setattr(profiles, "DEVICES_MAX", 1)
    for device in (BOBS, OTHER):
        (push,) = engine.connected(BOB, device)
        assert isinstance(push, PushProfile)
        engine.pushed(push, is_taken=True)
    assert list(engine.state.sent) == [OTHER]


def test_what_is_remembered_of_devices_is_limited(
    engine: ProfileEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they were asked, and what ours have pushed: of too many the first is forgotten."""
    monkeypatch.setattr(profiles, "DEVICES_MAX", 2)
    monkeypatch.setattr(profiles, "DEVICES_ASKED_MAX", 2)
    devices = [DeviceId(bytes([number]) * 32) for number in range(10, 15)]
    for number, device in enumerate(devices):
        assert len(engine.wanted([(EVE, REEF)], device)) == 1
        data = write_person(VCard(f"Ada {number}"))
        engine.pushed_to_us(US, device, OwnProfile(wall_modified=2**60 + number), data, 0.0)
    assert engine.wanted([(EVE, REEF)], devices[-1]) == []
    assert list(engine.state.heard) == devices[-2:]
    assert list(engine.state.sent) == devices[-2:]
    assert len(engine.wanted([(EVE, REEF)], devices[0])) == 1


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """A state or `DecodeError`."""
    for each in (data, msgpack.packb({"modified": data})):
        with suppress(DecodeError):
            ProfileState.unpack(each)
