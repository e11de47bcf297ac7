"""Dialling, and being dialled, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, Compute, ShoalError
from shoal.net.errors import HelloError, TooManyAttemptsError
from shoal.net.multiaddr import DirectEngine, Multiaddr
from shoal.net.multiaddr.effects import (
    Came,
    CloseLink,
    DialFailed,
    Dialled,
    Effect,
    Ended,
    Greeted,
    OpenLink,
    WriteLink,
)
from shoal.net.multiaddr.hello import encode_frame
from tests.unit.net.devices import simulated

if TYPE_CHECKING:
    from shoal.net.peer import Peer

BOB = simulated("bob")
HELLO = encode_frame(b"to " + BOB.device)
TLS = b"\x16\x03\x01 client hello"
ADDRESSES = [Multiaddr.parse(f"/ip4/192.0.2.{last}/tcp/4433") for last in range(1, 7)]
REMOTE = Address(bytes((192, 0, 2, 99)), 5555)


def unseal(sealed: bytes) -> Peer:
    """Open what `engine` seals."""
    if sealed != b"from bob":
        raise HelloError("no")
    return BOB


def engine() -> DirectEngine:
    """Return a fresh one."""
    return DirectEngine(lambda peer: b"to " + peer.device, unseal)


def opens(*numbers: int) -> list[Effect]:
    """Return the orders to connect to addresses."""
    found: list[Effect] = []
    for number in numbers:
        endpoint = ADDRESSES[number - 1].endpoint
        assert endpoint is not None
        found.append(OpenLink(number, endpoint))
    return found


def test_in_order_until_one_connects() -> None:
    """The first is dead, the second refuses, the third is the device."""
    direct = engine()
    assert direct.dial(7, BOB, ADDRESSES[:3], 0.0) == opens(1)
    assert direct.next_deadline() == 0.25
    assert direct.advance(0.25) == opens(2)
    assert direct.link_failed(2, "refused", 0.3) == opens(3)  # at once
    assert direct.link_opened(3, 0.4) == [WriteLink(3, HELLO)]
    assert direct.receive(3, TLS, 0.5) == [
        CloseLink(1),
        Dialled(7, 3, ADDRESSES[2]),
        Came(3, TLS),
    ]
    assert direct.next_deadline() is None
    assert direct.send(3, b"more", 0.6) == [WriteLink(3, b"more")]
    assert direct.receive(3, b"bytes", 0.6) == [Came(3, b"bytes")]
    assert direct.receive_eof(3, 0.7) == [CloseLink(3), Ended(3)]
    assert direct.sizes == {"links": 0, "dials": 0, "greeting": 0}
    assert direct.send(3, b"late", 0.8) == direct.close_link(3, 0.8) == []


def test_an_answer_may_come_byte_by_byte() -> None:
    """The first two bytes of a TLS record decide."""
    direct = engine()
    direct.dial(7, BOB, ADDRESSES[:1], 0.0)
    direct.link_opened(1, 0.1)
    assert direct.receive(1, TLS[:1], 0.2) == []
    assert direct.receive(1, TLS[1:2], 0.2) == [Dialled(7, 1, ADDRESSES[0]), Came(1, TLS[:2])]


def test_who_does_not_answer_as_the_device_does_is_another() -> None:
    """Some other server, one that says nothing, one that hangs up: each with its reason."""
    direct = engine()
    direct.dial(7, BOB, ADDRESSES[:3], 0.0)
    direct.advance(0.25)
    direct.advance(0.5)
    for link in (1, 2, 3):
        direct.link_opened(link, 1.0)
    assert direct.receive(1, b"HTTP/1.1 400", 1.1) == [CloseLink(1)]
    assert direct.receive_eof(2, 1.2) == [CloseLink(2)]
    assert direct.next_deadline() == 6.0
    closed, failed = direct.advance(6.0)
    assert closed == CloseLink(3)
    assert isinstance(failed, DialFailed)
    assert [reason for _, reason in failed.error.tried] == [
        "not the device",
        "closed by the other side",
        "no answer",
    ]
    assert str(failed.error).startswith("/ip4/192.0.2.1/tcp/4433 not the device; ")


def test_few_at_once() -> None:
    """Four links; a fifth begins when one has failed."""
    direct = engine()
    direct.dial(7, BOB, ADDRESSES, 0.0)
    for step in range(1, 4):
        assert direct.advance(step * 0.25) == opens(step + 1)
    assert direct.next_deadline() == 5.0
    assert direct.advance(4.9) == []
    assert direct.advance(5.0) == [CloseLink(1), *opens(5)]


def test_connecting_has_a_limit_too() -> None:
    """Five seconds."""
    direct = engine()
    direct.dial(7, BOB, ADDRESSES[:1], 0.0)
    assert direct.advance(4.9) == []
    closed, failed = direct.advance(5.0)
    assert closed == CloseLink(1)
    assert isinstance(failed, DialFailed)


def test_nothing_to_dial() -> None:
    """No address, or none of a kind that can be dialled; equal ones count once."""
    direct = engine()
    for addresses in ([], [Multiaddr.parse("/dns4/example.org/tcp/1")]):
        (failed,) = direct.dial(7, BOB, addresses, 0.0)
        assert isinstance(failed, DialFailed)
        assert "no address" in str(failed.error)
    direct.dial(8, BOB, ADDRESSES[:1] * 2, 0.0)
    assert direct.next_deadline() == 5.0


def test_dials_have_a_number() -> None:
    """And an id of their own."""
    direct = engine()
    for number in range(64):
        direct.dial(number, BOB, ADDRESSES[:1], 0.0)
    with pytest.raises(TooManyAttemptsError):
        direct.dial(64, BOB, ADDRESSES[:1], 0.0)
    assert direct.cancel(5, 0.0) == [CloseLink(6)]
    assert direct.cancel(5, 0.0) == []
    with pytest.raises(TooManyAttemptsError):
        direct.dial(6, BOB, ADDRESSES[:1], 0.0)


def greet(direct: DirectEngine, link: int = -1) -> Compute:
    """Let a link be accepted and greet."""
    assert direct.link_accepted(link, REMOTE, 0.0) == []
    frame = encode_frame(b"from bob")
    assert direct.receive(link, frame[:5], 0.1) == []
    (job,) = direct.receive(link, frame[5:], 0.2)
    assert isinstance(job, Compute)
    assert job.id == link
    return job


def computed(direct: DirectEngine, job: Compute) -> list[Effect]:
    """Run a job as a driver does."""
    result = job.job()
    assert isinstance(result, ShoalError) or result is BOB
    return direct.computed(job.id, result, 0.5)


def test_who_greets_is_known() -> None:
    """Once the greeting was opened; from then on the link is theirs."""
    direct = engine()
    job = greet(direct)
    assert direct.next_deadline() is None
    assert computed(direct, job) == [Greeted(-1, BOB)]
    assert computed(direct, job) == []
    assert direct.receive(-1, TLS, 1.0) == [Came(-1, TLS)]
    assert direct.send(-1, TLS, 1.0) == [WriteLink(-1, TLS)]
    assert direct.link_failed(-1, "reset", 2.0) == [Ended(-1)]
    assert direct.stats.greeted == 1


def test_greetings_that_do_not_hold() -> None:
    """Garbage, more than a greeting, not for us, while it is judged: closed without a word."""
    direct = engine()
    for link, data in ((-1, b"GET / HTTP"), (-2, encode_frame(b"x") + b"y")):
        direct.link_accepted(link, REMOTE, 0.0)
        assert direct.receive(link, data, 0.1) == [CloseLink(link)]
    direct.link_accepted(-3, REMOTE, 0.0)
    (job,) = direct.receive(-3, encode_frame(b"from eve"), 0.1)
    assert isinstance(job, Compute)
    assert computed(direct, job) == [CloseLink(-3)]
    assert direct.stats.refused == 3
    job = greet(direct, -4)
    assert direct.receive(-4, b"impatient", 0.3) == [CloseLink(-4)]
    assert computed(direct, job) == []
    assert direct.sizes == {"links": 0, "dials": 0, "greeting": 0}


def test_the_silent_have_five_seconds() -> None:
    """A byte now and then does not help."""
    direct = engine()
    direct.link_accepted(-1, REMOTE, 0.0)
    direct.receive(-1, HELLO[:1], 4.0)
    assert direct.next_deadline() == 5.0
    assert direct.advance(5.0) == [CloseLink(-1)]
    assert direct.stats.silent == 1


def test_few_may_be_greeting() -> None:
    """Eight of one network, sixty-four in all, those being judged included."""
    direct = engine()
    other = Address(bytes.fromhex("20010db8") + bytes(12), 1)
    jobs = [greet(direct, link) for link in range(-1, -9, -1)]
    assert direct.link_accepted(-9, REMOTE, 0.0) == [CloseLink(-9)]
    assert direct.link_accepted(-10, other, 0.0) == []
    computed(direct, jobs[0])
    assert direct.link_accepted(-11, REMOTE, 0.0) == []
    for link in range(-100, -200, -1):
        direct.link_accepted(link, Address((-link).to_bytes(4), 1), 0.0)
    assert direct.sizes["greeting"] == 64
    assert direct.stats.limited == 1 + 100 - (64 - 9)


def test_the_end() -> None:
    """Everything is closed; dials fail."""
    direct = engine()
    greet(direct)
    direct.dial(7, BOB, ADDRESSES, 0.0)
    effects = direct.close(1.0)
    assert set(effects[:1] + effects[2:]) == {CloseLink(1), CloseLink(-1)}
    assert isinstance(effects[1], DialFailed)
    assert direct.next_deadline() is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["data", "eof", "opened", "failed", "accepted", "dial", "wait"]),
            st.integers(-3, 4),
            st.binary(max_size=20) | st.sampled_from([HELLO, TLS, encode_frame(b"from bob")]),
        ),
        max_size=40,
    )
)
def test_whatever_comes(script: list[tuple[str, int, bytes]]) -> None:
    """No exception, deadlines in the future, limits hold."""
    direct, now = engine(), 0.0
    for number, (kind, link, data) in enumerate(script):
        match kind:
            case "data":
                effects = direct.receive(link, data, now)
            case "eof":
                effects = direct.receive_eof(link, now)
            case "opened":
                effects = direct.link_opened(link, now)
            case "failed":
                effects = direct.link_failed(link, "broken", now)
            case "accepted":
                effects = direct.link_accepted(-1 - number, REMOTE, now)
            case "dial":
                effects = direct.dial(number, BOB, ADDRESSES[:3], now)
            case _:
                now += 0.3
                effects = []
        for effect in effects:
            if isinstance(effect, Compute):
                computed(direct, effect)
        direct.advance(now)
        deadline = direct.next_deadline()
        assert deadline is None or deadline > now
        assert direct.sizes["greeting"] <= 8
