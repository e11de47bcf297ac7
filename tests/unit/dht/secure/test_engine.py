"""The secure engine as a whole: what callers see, and what moves when the backend changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, Compute, InfoHash
from shoal.dht.effects import Done, RowsFound, StatusChanged, ValuesExpired, ValuesFound
from shoal.dht.errors import (
    NoIdentityError,
    TooManyOperationsError,
    UnsuitableKeyError,
    UnsupportedByProxyError,
    ValueTooLargeError,
)
from shoal.dht.query import Condition, Field, Query
from shoal.dht.secure import operations
from shoal.dht.secure.effects import IdentityAnnounced, OperationFailed
from shoal.dht.secure.engine import SecureEngine
from shoal.dht.secure.suite import StandardSuite
from shoal.dht.value import Value
from shoal.sim.entropy import SeededEntropy
from tests.unit.dht.fake_dht import CONNECTED, DISCONNECTED, FakeBackend, FakeDht, Host
from tests.unit.dht.identities import ec_identity, identity

KEY = InfoHash.of(b"key")
SUITE = StandardSuite()


def host(backend: FakeBackend, name: str | None = None) -> Host:
    """Return a secure engine on *backend*, driven in virtual time."""
    who = None if name is None else identity(name)
    return Host(SecureEngine(backend, SeededEntropy(7), identity=who))


def test_plain_values_go_in_and_out_unchanged() -> None:
    """Without an identity the engine is its backend; id 0 becomes an id."""
    dht = FakeDht()
    alice = host(FakeBackend(dht))

    alice.take(alice.engine.put(1, KEY, Value(b"x"), alice.now))
    alice.run(1.0)
    alice.take(alice.engine.get(2, KEY, alice.now))
    alice.run(1.0)

    assert alice.done(1) == Done(1, ok=True, nodes=8)
    (value,) = alice.values(2)
    assert value.id
    assert value == Value(b"x", id=value.id)
    assert alice.done(2) == Done(2, ok=True, nodes=8)
    assert not [event for event in alice.events if isinstance(event, Compute)]


def test_signed_and_encrypted_values_reach_who_may_read_them() -> None:
    """Bob reads what Alice signed and what she encrypted to him; Carol only the former."""
    dht = FakeDht()
    alice, bob, carol = (host(FakeBackend(dht), name) for name in ("alice", "bob", "carol"))
    bob_spki = identity("bob").certificate.public_key.spki

    alice.take(alice.engine.put_signed(1, KEY, Value(b"to all", id=5), alice.now))
    alice.take(alice.engine.put_encrypted(2, KEY, Value(b"to bob", id=6), bob_spki, alice.now))
    alice.run(1.0)
    for reader in (bob, carol):
        reader.now = alice.now
        reader.take(reader.engine.get(1, KEY, reader.now))
        reader.run(1.0)

    assert alice.done(1) == Done(1, ok=True, nodes=8)
    assert alice.done(2) == Done(2, ok=True, nodes=8)
    assert {value.data: value.owner_id for value in bob.values(1)} == {
        b"to all": identity("alice").id,
        b"to bob": identity("alice").id,
    }
    assert [value.data for value in carol.values(1)] == [b"to all"]
    assert (alice.engine.stats.signed, alice.engine.stats.encrypted) == (1, 1)
    assert (bob.engine.stats.verified, bob.engine.stats.decrypted) == (1, 1)
    assert (carol.engine.stats.undecipherable, carol.engine.stats.verified) == (1, 1)


def test_forged_values_are_dropped_and_counted() -> None:
    """A changed signed value is not shown; the rest of its batch is."""
    dht = FakeDht()
    reader = host(FakeBackend(dht))
    signed = SUITE.sign(identity("alice"), Value(b"true", id=1))
    dht.store(KEY, replace(signed, data=b"false"), 0.0)
    dht.store(KEY, Value(b"plain", id=2), 0.0)

    reader.take(reader.engine.get(1, KEY, 0.0))
    reader.run(1.0)

    assert [value.data for value in reader.values(1)] == [b"plain"]
    assert reader.engine.stats.forged == 1


def test_values_whose_check_fails_to_run_are_not_shown() -> None:
    """The operation ends all the same."""
    dht = FakeDht()
    dht.store(KEY, SUITE.sign(identity("alice"), Value(b"x", id=1)), 0.0)
    reader = host(FakeBackend(dht))
    reader.is_holding = True
    reader.take(reader.engine.get(1, KEY, 0.0))
    reader.run(1.0)
    compute = reader.held.popleft()
    reader.take(reader.engine.compute_failed(compute.id, MemoryError(), reader.now))

    assert reader.of(1) == [Done(1, ok=True, nodes=8)]


def test_encrypted_values_without_an_identity_are_dropped_unless_raw() -> None:
    """A proxy server passes them on; everybody else doesn't show what it can't read."""
    dht = FakeDht()
    sealed = SUITE.seal(
        identity("alice"), Value(b"x", id=1), identity("bob").certificate.public_key.spki
    )
    dht.store(KEY, sealed, 0.0)
    reader = host(FakeBackend(dht))

    reader.take(reader.engine.get(1, KEY, 0.0))
    reader.take(reader.engine.get(2, KEY, 0.0, raw=True))
    reader.take(reader.engine.listen(3, KEY, 0.0, raw=True))
    reader.run(1.0)

    assert reader.values(1) == []
    assert reader.values(2) == reader.values(3) == [sealed]
    assert reader.engine.stats.without_key == 1


def test_a_command_can_bring_its_own_identity() -> None:
    """Accounts that share one node read and sign as themselves."""
    dht = FakeDht()
    shared = host(FakeBackend(dht), "alice")
    to_bob = identity("bob").id
    shared.engine.register_certificate(identity("bob").certificate)

    shared.take(
        shared.engine.put_encrypted(
            1, KEY, Value(b"hi", id=3), to_bob, 0.0, identity=identity("carol")
        )
    )
    shared.run(1.0)
    shared.take(shared.engine.get(2, KEY, shared.now))
    shared.take(shared.engine.get(3, KEY, shared.now, identity=identity("bob")))
    shared.run(1.0)

    assert shared.values(2) == []
    assert [value.owner_id for value in shared.values(3)] == [identity("carol").id]


def test_what_needs_an_identity_says_so() -> None:
    """Before anything is begun."""
    backend = FakeBackend(FakeDht())
    engine = host(backend).engine
    spki = identity("bob").certificate.public_key.spki

    with pytest.raises(NoIdentityError):
        engine.put_signed(1, KEY, Value(b"x"), 0.0)
    with pytest.raises(NoIdentityError):
        engine.put_encrypted(1, KEY, Value(b"x"), spki, 0.0)
    assert backend.calls == []


def test_elliptic_curve_identities_are_refused_at_once() -> None:
    """Wherever one is given, and as recipients."""
    engine = host(FakeBackend(FakeDht()), "alice").engine
    spki = ec_identity().certificate.public_key.spki

    with pytest.raises(UnsuitableKeyError):
        SecureEngine(FakeBackend(FakeDht()), SeededEntropy(1), identity=ec_identity())
    with pytest.raises(UnsuitableKeyError):
        engine.put_signed(1, KEY, Value(b"x"), 0.0, identity=ec_identity())
    with pytest.raises(UnsuitableKeyError):
        engine.announce_identity(ec_identity(), 0.0)
    with pytest.raises(UnsuitableKeyError):
        engine.put_encrypted(1, KEY, Value(b"x"), spki, 0.0)


def test_refusals_of_the_backend_reach_the_caller() -> None:
    """At once where the command goes through, as OperationFailed where it goes later."""
    backend = FakeBackend(FakeDht())
    alice = host(backend, "alice")
    large = Value(b"x" * 65_500, id=1)

    with pytest.raises(ValueTooLargeError):
        alice.engine.put(1, KEY, replace(large, data=b"x" * 65_537), 0.0)
    alice.take(alice.engine.put_signed(2, KEY, large, 0.0))  # fits until it is signed
    alice.run(1.0)

    failed, done = alice.of(2)
    assert isinstance(failed, OperationFailed)
    assert isinstance(failed.error, ValueTooLargeError)
    assert done == Done(2, ok=False, nodes=0)

    backend.refusing = TooManyOperationsError()
    for command in (alice.engine.get, alice.engine.listen):
        with pytest.raises(TooManyOperationsError):
            command(3, KEY, alice.now)
    with pytest.raises(TooManyOperationsError):
        alice.engine.query(3, KEY, Query(), alice.now)
    alice.take(alice.engine.put_signed(4, KEY, Value(b"x", id=2), alice.now))
    assert alice.done(4) == Done(4, ok=False, nodes=0)


def test_the_number_of_operations_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused before the backend hears of it."""
    monkeypatch.setattr(operations, "READINGS_MAX", 1)
    monkeypatch.setattr(operations, "QUERIES_MAX", 1)
    backend = FakeBackend(FakeDht())
    engine = host(backend).engine
    engine.get(1, KEY, 0.0)
    engine.query(2, KEY, Query(), 0.0)
    for command in (engine.get, engine.listen):
        with pytest.raises(TooManyOperationsError):
            command(3, KEY, 0.0)
    with pytest.raises(TooManyOperationsError):
        engine.query(3, KEY, Query(), 0.0)
    assert len(backend.calls) == 2


def test_queries_pass_and_end() -> None:
    """Rows are as stored: a query verifies nothing."""
    dht = FakeDht()
    dht.store(KEY, Value(b"x", id=4), 0.0)
    reader = host(FakeBackend(dht))

    reader.take(reader.engine.query(1, KEY, Query(), 0.0))
    reader.run(1.0)

    rows, done = reader.of(1)
    assert isinstance(rows, RowsFound)
    assert [row.id for row in rows.rows] == [4]
    assert done == Done(1, ok=True, nodes=8)


def test_where_goes_to_the_network() -> None:
    """The backend gets the conditions, as it sees the outer values."""
    dht = FakeDht()
    dht.store(KEY, Value(b"a", id=1), 0.0)
    dht.store(KEY, Value(b"b", id=2), 0.0)
    reader = host(FakeBackend(dht))

    reader.take(reader.engine.get(1, KEY, 0.0, where=(Condition(Field.ID, 2),)))
    reader.run(1.0)

    assert [value.data for value in reader.values(1)] == [b"b"]


def test_cancelled_operations_are_silent() -> None:
    """No value, no Done, though the computation of one still comes back."""
    dht = FakeDht()
    backend = FakeBackend(dht)
    alice = host(backend, "alice")
    dht.store(KEY, SUITE.sign(identity("bob"), Value(b"x", id=1)), 0.0)
    alice.is_holding = True

    alice.take(alice.engine.get(1, KEY, 0.0))
    alice.take(alice.engine.query(2, KEY, Query(), 0.0))
    alice.take(alice.engine.put_signed(3, KEY, Value(b"y"), 0.0))
    alice.take(alice.engine.find_certificate(4, identity("bob").id, 0.0))
    alice.take(alice.engine.put_encrypted(5, KEY, Value(b"z"), identity("carol").id, 0.0))
    alice.take(alice.engine.put_signed(6, KEY, Value(b"y", id=9), 0.0))
    for op in (2, 4, 5):  # the others wait for computations
        alice.take(alice.engine.cancel(op, 0.0))
    alice.run(1.0)
    for op in range(1, 7):
        alice.take(alice.engine.cancel(op, alice.now))
    alice.is_holding = False
    while alice.held:
        alice.release(0)
    alice.run(10.0)

    assert [event for op in range(1, 7) for event in alice.of(op)] == []
    assert alice.engine.cancel(77, alice.now) == []
    assert all(op not in (3, 5, 6) for op, *_ in backend.ops("put"))


def test_certificates_are_published_at_both_places_once_connected() -> None:
    """As permanent puts under value id 1, type 8; the outcome is reported once."""
    dht = FakeDht()
    backend = FakeBackend(dht, DISCONNECTED)
    alice = host(backend, "alice")
    alice.run(5.0)
    assert backend.ops("put") == []

    backend.connect(alice.now)
    alice.run(1.0)

    key = identity("alice").certificate.public_key
    assert set(backend.permanent) == {(key.id, 1), (key.long_id.infohash, 1)}
    assert {value.type for value in backend.permanent.values()} == {8}
    assert alice.events == [StatusChanged(*CONNECTED), IdentityAnnounced(key.id, ok=True)]
    assert alice.engine.status == CONNECTED


def test_a_connection_that_is_there_already_is_used() -> None:
    """An engine that is put on a running backend wakes up to publish, once."""
    backend = FakeBackend(FakeDht())
    alice = host(backend, "alice")

    assert alice.engine.next_deadline() == 0.0
    alice.run(1.0)
    assert len(backend.ops("put")) == 2
    assert alice.engine.next_deadline() is None


def test_a_failed_publication_is_reported_and_goes_on() -> None:
    """The backend keeps trying: the put is permanent."""
    backend = FakeBackend(FakeDht())
    backend.failing = True
    alice = host(backend, "alice")
    alice.run(1.0)

    assert alice.events == [IdentityAnnounced(identity("alice").id, ok=False)]
    assert len(backend.permanent) == 2


def test_a_refused_publication_is_reported() -> None:
    """A backend that is full doesn't make the engine spin."""
    backend = FakeBackend(FakeDht())
    backend.refusing = TooManyOperationsError()
    alice = host(backend, "alice")
    alice.run(1.0)

    assert alice.events == [IdentityAnnounced(identity("alice").id, ok=False)]
    assert alice.engine.next_deadline() is None


def test_further_identities_come_and_go() -> None:
    """An account that joins a node is published at once, and withdrawn when it leaves."""
    backend = FakeBackend(FakeDht())
    node = host(backend)
    node.take(node.engine.announce_identity(identity("alice"), 0.0))
    assert len(backend.permanent) == 2

    node.take(node.engine.withdraw_identity(identity("alice"), 0.0))
    node.run(1.0)
    assert backend.permanent == {}
    assert node.events == []


def test_another_backend_takes_everything_over() -> None:
    """Gets start again, listens and permanent puts go on, each event comes under its old op."""
    dht = FakeDht()
    first, second = FakeBackend(dht), FakeBackend(dht)
    alice = host(first, "alice")
    alice.run(1.0)
    dht.store(KEY, Value(b"old", id=1), alice.now)
    alice.take(alice.engine.listen(1, KEY, alice.now))
    alice.take(alice.engine.put(2, KEY, Value(b"kept", id=2), alice.now, permanent=True))
    alice.take(alice.engine.put(3, KEY, Value(b"done", id=3), alice.now))
    alice.run(1.0)
    alice.take(alice.engine.get(4, KEY, alice.now))
    alice.take(alice.engine.query(5, KEY, Query(), alice.now))
    alice.take(alice.engine.put(6, KEY, Value(b"under way", id=4), alice.now))
    seen = len(alice.events)

    alice.take(alice.engine.replace_backend(second, alice.now))
    alice.run(1.0)

    assert first.listens == {}
    assert first.permanent == {}
    assert {key for key, _ in second.permanent} >= {KEY}
    assert [call[2] for call in second.ops("put") if call[1] == KEY] == [
        Value(b"kept", id=2),
        Value(b"under way", id=4),
    ]
    assert alice.done(2) == Done(2, ok=True, nodes=8)  # told once
    assert alice.done(4) == Done(4, ok=True, nodes=8)
    assert alice.done(5) == Done(5, ok=True, nodes=8)
    assert alice.done(6) == Done(6, ok=True, nodes=8)
    news = [event for event in alice.events[seen:] if getattr(event, "op", 0) == 1]
    assert news == [ValuesFound(1, (Value(b"under way", id=4),))]  # nothing is shown twice


def test_what_the_new_backend_does_not_find_expires() -> None:
    """A minute after the new connection; what it finds stays, and expires when it says so."""
    old_world, new_world = FakeDht(), FakeDht()
    for dht in (old_world, new_world):
        dht.store(KEY, Value(b"both", id=1), 0.0)
    old_world.store(KEY, Value(b"only old", id=2), 0.0)
    second = FakeBackend(new_world, DISCONNECTED)
    reader = host(FakeBackend(old_world))
    reader.take(reader.engine.listen(1, KEY, 0.0))
    reader.run(1.0)

    reader.take(reader.engine.replace_backend(second, reader.now))
    reader.run(100.0)
    assert [e for e in reader.events if isinstance(e, ValuesExpired)] == []
    second.connect(reader.now)
    reader.run(59.0)
    assert [e for e in reader.events if isinstance(e, ValuesExpired)] == []
    reader.run(2.0)
    assert reader.of(1)[-1] == ValuesExpired(1, (Value(b"only old", id=2),))
    assert reader.engine.next_deadline() is None
    new_world.expire(KEY, 1, reader.now)
    reader.run(1.0)
    assert reader.of(1)[-1] == ValuesExpired(1, (Value(b"both", id=1),))


def test_what_the_new_backend_cannot_do_fails() -> None:
    """Queries over a proxy, say."""
    alice = host(FakeBackend(FakeDht()))
    alice.take(alice.engine.query(1, KEY, Query(), 0.0))
    alice.take(alice.engine.get(2, KEY, 0.0))
    alice.take(alice.engine.put(3, KEY, Value(b"x", id=1), 0.0))
    second = FakeBackend(FakeDht())
    second.refusing = UnsupportedByProxyError()

    alice.take(alice.engine.replace_backend(second, 0.0))
    alice.run(1.0)

    for op in (1, 2, 3):
        failed, done = alice.of(op)
        assert isinstance(failed, OperationFailed)
        assert isinstance(failed.error, UnsupportedByProxyError)
        assert done == Done(op, ok=False, nodes=0)


def test_closing_ends_every_operation() -> None:
    """Whoever waits is told, also for what never reached the backend."""
    backend = FakeBackend(FakeDht())
    alice = host(backend, "alice")
    alice.is_holding = True
    alice.take(alice.engine.get(1, KEY, 0.0))
    alice.take(alice.engine.query(2, KEY, Query(), 0.0))
    alice.take(alice.engine.put_signed(3, KEY, Value(b"x"), 0.0))
    alice.take(alice.engine.put_encrypted(4, KEY, Value(b"x"), identity("bob").id, 0.0))
    alice.take(alice.engine.find_certificate(5, identity("carol").id, 0.0))
    alice.take(alice.engine.listen(6, KEY, 0.0))

    alice.take(alice.engine.close(0.0))

    for op in range(1, 6):
        assert alice.of(op) == [Done(op, ok=False, nodes=0)]
    assert alice.of(6) == []
    assert backend.calls[-1] == ("close",)
    alice.is_holding = False
    alice.release(0)
    assert len(alice.events) == 5


def test_other_effects_and_commands_pass() -> None:
    """What belongs to the driver or to the backend goes through untouched."""
    backend = FakeBackend(FakeDht())
    alice = host(backend)

    assert alice.engine.receive(b"x", Address(b"\x7f\0\0\1", 1), 0.0) == []
    assert alice.engine.connectivity_changed(0.0) == []
    assert backend.calls == [("connectivity_changed",)]
    sentinel = object()
    assert alice.engine.absorb([sentinel, Done(9, ok=True, nodes=1)], 0.0) == [
        sentinel,
        Done(9, ok=True, nodes=1),
    ]
    assert alice.engine.computed(12345, None, 0.0) == []
    assert alice.engine.compute_failed(12345, ValueError("x"), 0.0) == []


@given(st.data())
def test_events_of_an_operation_keep_their_order(data: st.DataObject) -> None:
    """Whatever order checks end in: batches in order, expiries after values, Done last."""
    dht = FakeDht()
    reader = host(FakeBackend(dht))
    reader.is_holding = True
    values = [
        SUITE.sign(identity("alice"), Value(bytes([n]), id=n + 1))
        if is_signed
        else Value(bytes([n]), id=n + 1)
        for n, is_signed in enumerate(data.draw(st.lists(st.booleans(), max_size=8)))
    ]
    for value in values:
        dht.store(KEY, value, 0.0)
    reader.take(reader.engine.get(1, KEY, 0.0))
    reader.take(reader.engine.listen(2, KEY, 0.0))
    reader.run(1.0)
    for value in values:
        dht.expire(KEY, value.id, reader.now)
    reader.run(1.0)
    while reader.held:
        reader.release(data.draw(st.integers(0, len(reader.held) - 1)))

    assert reader.values(1) == values
    assert reader.done(1) is not None
    kinds = [type(event) for event in reader.of(2)]
    assert kinds == sorted(kinds, key=lambda kind: kind is ValuesExpired)
    assert reader.values(2) == values
    gone = [v for e in reader.of(2) if isinstance(e, ValuesExpired) for v in e.values]
    assert gone == values
