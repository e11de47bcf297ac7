"""Puts that are signed or encrypted on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shoal.core import InfoHash
from shoal.dht.effects import Done
from shoal.dht.errors import (
    CertificateNotFoundError,
    SequenceExhaustedError,
    TooManyOperationsError,
)
from shoal.dht.secure import puts
from shoal.dht.secure.effects import OperationFailed
from shoal.dht.secure.engine import SecureEngine
from shoal.dht.secure.puts import Announcement, Announcements, failure
from shoal.dht.secure.suite import StandardSuite
from shoal.dht.value import Value
from shoal.sim.entropy import SeededEntropy
from tests.unit.dht.fake_dht import FakeBackend, FakeDht, Host
from tests.unit.dht.identities import identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.crypto.identity import Identity

KEY = InfoHash.of(b"key")
SUITE = StandardSuite()


class Setup:
    """Alice on a network."""

    def __init__(self) -> None:
        self.dht = FakeDht()
        self.backend = FakeBackend(self.dht)
        self.host = Host(SecureEngine(self.backend, SeededEntropy(7), identity=identity("alice")))
        self.engine = self.host.engine
        self.host.run(1.0)
        self.backend.calls.clear()

    def sign(self, op: int, value: Value, *, permanent: bool = False) -> None:
        """Begin a signed put."""
        self.host.take(self.engine.put_signed(op, KEY, value, self.host.now, permanent=permanent))

    def stored(self) -> list[Value]:
        """Return what lies under the key."""
        return list(self.dht.values(KEY, self.host.now))


def stored_seq(seq: int, owner: str = "alice") -> Value:
    """Return a signed value as it may lie in the DHT."""
    return SUITE.sign(identity(owner), Value(b"old", id=5, seq=seq))


def test_a_fresh_value_needs_no_search() -> None:
    """A random id can't be taken: one put, no get."""
    setup = Setup()
    setup.sign(1, Value(b"x"))
    setup.host.run(1.0)

    assert setup.backend.ops("get") == []
    (value,) = setup.stored()
    assert SUITE.verify(value)
    assert value.seq == 0
    assert setup.host.done(1) == Done(1, ok=True, nodes=8)


def test_the_sequence_number_rises_above_the_stored_one() -> None:
    """Reference section 2.10: seq = found + 1, if that is ours and not below."""
    setup = Setup()
    setup.dht.store(KEY, stored_seq(seq=41), 0.0)
    setup.sign(1, Value(b"new", id=5))
    setup.host.run(1.0)
    assert [(value.data, value.seq) for value in setup.stored()] == [(b"new", 42)]

    setup.sign(2, Value(b"newer", id=5, seq=100))  # the caller's own number is high enough
    setup.host.run(1.0)
    assert [(value.data, value.seq) for value in setup.stored()] == [(b"newer", 100)]


def test_values_of_others_and_forgeries_set_no_sequence_number() -> None:
    """Nobody can drive our numbers up."""
    setup = Setup()
    setup.dht.store(KEY, stored_seq(seq=900, owner="bob"), 0.0)
    setup.sign(1, Value(b"new", id=5))
    setup.host.run(1.0)
    assert [value.seq for value in setup.stored()] == [0]

    alice = identity("alice").certificate.public_key.spki
    setup.dht.store(KEY, Value(b"x", id=6, owner=alice, signature=b"forged", seq=900), 0.0)
    setup.sign(2, Value(b"new", id=6))
    setup.host.run(1.0)
    assert {value.id: value.seq for value in setup.stored()}[6] == 0


def test_our_own_announced_value_counts_though_nobody_answers() -> None:
    """A put that is under way, or permanent, is outbid without being found."""
    setup = Setup()
    setup.backend.failing = True
    setup.sign(1, Value(b"1", id=5, seq=10), permanent=True)
    setup.host.run(1.0)
    setup.sign(2, Value(b"2", id=5), permanent=True)
    setup.host.run(1.0)

    assert [
        (value.data, value.seq) for value in setup.backend.permanent.values() if value.type == 0
    ] == [(b"2", 11)]


def test_signed_puts_of_one_value_take_turns() -> None:
    """Called together, the last call wins; other values aren't held up."""
    setup = Setup()
    for op, data in enumerate((b"first", b"second", b"third")):
        setup.sign(op, Value(data, id=5))
    setup.sign(3, Value(b"other", id=6))
    setup.host.run(1.0)

    puts = [call[2] for call in setup.backend.ops("put")]
    assert [(value.data, value.seq) for value in puts if value.id == 5] == [  # type: ignore[attr-defined]
        (b"first", 0),
        (b"second", 1),
        (b"third", 2),
    ]
    assert {value.id: value.data for value in setup.stored()} == {5: b"third", 6: b"other"}
    for op in range(4):
        assert setup.host.done(op) == Done(op, ok=True, nodes=8)


def test_a_cancelled_put_lets_the_next_one_begin() -> None:
    """First in line, in the middle, or while its signature is computed."""
    setup = Setup()
    setup.host.is_holding = True
    for op in range(4):
        setup.sign(op, Value(b"%d" % op, id=5))
    setup.host.take(setup.engine.cancel(1, setup.host.now))
    setup.host.take(setup.engine.cancel(0, setup.host.now))
    setup.host.run(1.0)  # op 2 waits for its signature
    setup.host.take(setup.engine.cancel(2, setup.host.now))
    setup.host.is_holding = False
    while setup.host.held:
        setup.host.release(0)
    setup.host.run(1.0)

    assert [value.data for value in setup.stored()] == [b"3"]
    assert [setup.host.done(op) for op in range(4)] == [None, None, None, Done(3, True, 8)]


def test_cancelling_a_value_fails_what_is_being_prepared_for_it() -> None:
    """Nobody waits for ever; other values go on."""
    setup = Setup()
    for op in range(3):
        setup.sign(op, Value(b"x", id=5))
    setup.sign(3, Value(b"x", id=6))
    gets = len(setup.backend.ops("get"))
    setup.host.take(setup.engine.cancel_put(KEY, 5, setup.host.now))
    setup.host.run(1.0)

    assert len(setup.backend.ops("get")) == gets  # those in line don't begin first
    for op in range(3):
        assert setup.host.done(op) == Done(op, ok=False, nodes=0)
    assert setup.host.done(3) == Done(3, ok=True, nodes=8)
    assert [value.id for value in setup.stored()] == [6]


def test_an_exhausted_sequence_says_so() -> None:
    """65,535 edits are all a uint16 counts; those in line fail alike."""
    setup = Setup()
    setup.dht.store(KEY, stored_seq(seq=65_535), 0.0)
    for op in (1, 2):
        setup.sign(op, Value(b"new", id=5))
    setup.host.run(2.0)

    for op in (1, 2):
        failed, done = setup.host.of(op)
        assert isinstance(failed, OperationFailed)
        assert isinstance(failed.error, SequenceExhaustedError)
        assert done == Done(op, ok=False, nodes=0)
    assert [value.seq for value in setup.stored()] == [65_535]


@pytest.mark.parametrize(
    "name", [lambda who: who.id, lambda who: who.long_id], ids=["short id", "long id"]
)
def test_encrypting_by_id_finds_the_certificate(name: Callable[[Identity], InfoHash]) -> None:
    """Where its owner published it; the second time from memory."""
    setup = Setup()
    bob = Host(SecureEngine(FakeBackend(setup.dht), SeededEntropy(8), identity=identity("bob")))
    bob.run(1.0)

    for op in (1, 2):
        setup.host.take(
            setup.engine.put_encrypted(
                op, KEY, Value(b"secret"), name(identity("bob")), setup.host.now
            )
        )
        setup.host.run(1.0)
        assert setup.host.done(op) == Done(op, ok=True, nodes=8)

    assert setup.engine.stats.lookups == 1
    bob.now = setup.host.now
    bob.take(bob.engine.get(1, KEY, bob.now))
    bob.run(1.0)
    assert [value.data for value in bob.values(1)] == [b"secret", b"secret"]


def test_encrypting_to_an_unknown_id_fails_and_says_why() -> None:
    """OperationFailed, then Done."""
    setup = Setup()
    setup.host.take(setup.engine.put_encrypted(1, KEY, Value(b"x"), identity("bob").id, 0.0))
    setup.host.run(1.0)

    failed, done = setup.host.of(1)
    assert isinstance(failed, OperationFailed)
    assert isinstance(failed.error, CertificateNotFoundError)
    assert done == Done(1, ok=False, nodes=0)


def test_encrypting_to_ourselves_needs_no_search() -> None:
    """Our own certificate is known, by both ids."""
    setup = Setup()
    for op, name in enumerate((identity("alice").id, identity("alice").long_id)):
        setup.host.take(setup.engine.put_encrypted(op, KEY, Value(b"x"), name, setup.host.now))
    setup.host.run(1.0)
    setup.host.take(setup.engine.get(9, KEY, setup.host.now))
    setup.host.run(1.0)

    assert setup.engine.stats.lookups == 0
    assert [value.data for value in setup.host.values(9)] == [b"x", b"x"]


def test_a_search_that_cannot_begin_fails_the_put() -> None:
    """Its error is the backend's."""
    setup = Setup()
    setup.backend.refusing = TooManyOperationsError()
    setup.host.take(setup.engine.put_encrypted(1, KEY, Value(b"x"), identity("bob").id, 0.0))

    failed, done = setup.host.of(1)
    assert isinstance(failed, OperationFailed)
    assert done == Done(1, ok=False, nodes=0)


def test_a_failing_computation_fails_the_put() -> None:
    """Whatever it raises arrives as an error of ours."""
    setup = Setup()
    setup.host.is_holding = True
    setup.sign(1, Value(b"x"))
    compute = setup.host.held.popleft()
    setup.host.take(setup.engine.compute_failed(compute.id, MemoryError("full"), 0.0))

    failed, done = setup.host.of(1)
    assert isinstance(failed, OperationFailed)
    assert str(failed.error) == "full"
    assert done == Done(1, ok=False, nodes=0)


def test_the_number_of_puts_in_preparation_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused, and nothing has changed."""
    monkeypatch.setattr(puts, "PREPARED_MAX", 2)
    setup = Setup()
    setup.host.is_holding = True
    setup.sign(1, Value(b"x", id=5))
    setup.sign(2, Value(b"x", id=5))
    with pytest.raises(TooManyOperationsError):
        setup.sign(3, Value(b"x", id=5))
    with pytest.raises(TooManyOperationsError):
        setup.engine.put_encrypted(3, KEY, Value(b"x"), identity("alice").id, 0.0)
    setup.host.is_holding = False
    setup.host.run(1.0)
    assert setup.host.done(2) == Done(2, ok=True, nodes=8)


def test_the_number_of_announcements_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that replaces another needs no room; what ends gives room."""
    monkeypatch.setattr(puts, "ANNOUNCED_MAX", 1)
    announcements = Announcements()
    first = Announcement(1, KEY, Value(id=5, seq=3), None, is_permanent=False)
    announcements.add(first)
    announcements.check_room((KEY, 5))
    with pytest.raises(TooManyOperationsError):
        announcements.check_room((KEY, 6))
    assert announcements.seq((KEY, 5)) == 3
    announcements.ended(1)
    announcements.check_room((KEY, 6))
    assert announcements.seq((KEY, 5)) is None


def test_a_replaced_announcement_ends_without_taking_the_new_one_along() -> None:
    """The backend may report its Done after the new one has begun."""
    announcements = Announcements()
    old, new = (Announcement(op, KEY, Value(id=5), None, is_permanent=False) for op in (1, 2))
    announcements.add(old)
    announcements.add(new)
    announcements.ended(1)
    assert announcements.all() == [new]
    announcements.ended(2)
    announcements.ended(2)
    assert announcements.all() == []


def test_failures_of_ours_pass_as_they_are() -> None:
    """Others are wrapped, so that callers catch one family."""
    error = SequenceExhaustedError()
    assert failure(1, error)[0] == OperationFailed(1, error)
