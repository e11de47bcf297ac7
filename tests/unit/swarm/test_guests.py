"""Who fetches from us: nobody keeps the others out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from shoal.core import AccountId, DeviceId
from shoal.swarm.guests import GUESTS_MAX, PER_ACCOUNT_MAX, PER_DEVICE_MAX, Guest, Guests

if TYPE_CHECKING:
    from shoal.swarm.serving import ServeEngine

ENGINE = cast("ServeEngine", SimpleNamespace())


def guest(account: int, device: int) -> Guest:
    """A device of an account, by numbers."""
    return Guest(ENGINE, AccountId(account.to_bytes(20)), DeviceId(device.to_bytes(32)))


def test_a_device_has_a_few_channels() -> None:
    """The newest ones: the oldest is closed for it."""
    guests = Guests()
    closed = [guests.admit(number, guest(1, 1)) for number in range(PER_DEVICE_MAX + 2)]

    assert closed == [[]] * PER_DEVICE_MAX + [[0], [1]]
    assert len(guests) == PER_DEVICE_MAX


def test_an_account_has_some_more() -> None:
    """However many devices it makes; the one that was heard from last stays longest."""
    guests = Guests()
    for number in range(PER_ACCOUNT_MAX):
        assert guests.admit(number, guest(1, number)) == []
    assert guests.heard(0) is not None

    assert guests.admit(99, guest(1, 99)) == [1]
    assert 0 in guests


def test_the_largest_gives_way_when_all_are_taken() -> None:
    """An honest newcomer comes in, and no honest guest has to go."""
    guests = Guests()
    for number in range(GUESTS_MAX - 1):
        guests.admit(number, guest(number % 4, number))
    guests.admit(900, guest(77, 900))
    assert len(guests) == GUESTS_MAX

    (gone,) = guests.admit(901, guest(78, 901))
    assert gone < GUESTS_MAX
    assert 900 in guests
    assert len(guests) == GUESTS_MAX


def test_who_may_not_stay_goes() -> None:
    """A ban closes what was open."""
    guests = Guests()
    for number in range(4):
        guests.admit(number, guest(number % 2, number))
    banned = AccountId((1).to_bytes(20))

    assert guests.expel(lambda account: account != banned) == [1, 3]
    assert guests.drop(0)
    assert not guests.drop(0)
    assert guests.heard(0) is None
    assert guests.clear() == [2]
