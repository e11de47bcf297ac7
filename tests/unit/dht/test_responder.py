"""What one node answers, message by message. Conformance cases by number (6.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import Address, Family, InfoHash, SendDatagram
from shoal.core.ids import ZERO_HASH
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.effects import ValuesExpired, ValuesFound
from shoal.dht.engine import DhtEngine
from shoal.dht.query import Condition, Field, Query
from shoal.dht.responder import PUT_VALUES_MAX
from shoal.dht.subscribers import PER_SENDER_MAX
from shoal.dht.value import Value
from shoal.sim import SeededEntropy
from tests.unit.dht.world import KEY, WALL_NOW, Stranger


def make(config: DhtConfig | None = None) -> DhtEngine:
    """Make a node that knows nobody."""
    return DhtEngine(config or DhtConfig(), SeededEntropy(5), 0.0, wall_offset=WALL_NOW)


def met(engine: DhtEngine, count: int) -> list[Stranger]:
    """Let *engine* know *count* nodes that answer its pings."""
    strangers = []
    for number in range(1, count + 1):
        stranger = Stranger(engine, bytes([number]))
        effects = engine.insert_node(stranger.id, stranger.addr, 0.0)
        for ping in stranger.read(list(effects)):
            if isinstance(ping, wire.Ping):
                stranger.say(
                    wire.Reply(ping.tid, stranger.id, None, b"", b"", None, (), None, None)
                )
        strangers.append(stranger)
    return strangers


def test_ping() -> None:
    """Case 1: the asker's tid, our id, and its address as we see it."""
    engine = make()
    asker = Stranger(engine)
    assert asker.reply(wire.Ping(99, asker.id)) == wire.Reply(
        99, engine.node_id, asker.addr.ip, b"", b"", None, (), None, None
    )


def test_find_names_nodes_and_gives_a_token() -> None:
    """Cases 1 and 5: up to 8 good nodes, sorted by distance, and always a token."""
    engine = make()
    met(engine, 12)
    asker = Stranger(engine)
    answer = asker.reply(wire.Find(1, asker.id, KEY, None))
    assert answer.token is not None
    assert len(answer.token) == 32
    nodes = wire.parse_compact(answer.nodes4, 4)
    assert len(nodes) == 8
    distances = [KEY.distance(node_id) for node_id, _ in nodes]
    assert distances == sorted(distances)
    assert answer.nodes6 == b""


@pytest.mark.parametrize(
    ("want", "has_nodes"),
    [(None, True), ((2,), True), ((10,), False), ((2, 10), True), ((), False), ((30,), False)],
)
def test_wanted_families(want: tuple[int, ...] | None, has_nodes: bool) -> None:
    """Case 6: absent means the family of the request; an empty list means none."""
    engine = make()
    met(engine, 3)
    asker = Stranger(engine)
    for message in (wire.Find(1, asker.id, KEY, want), wire.Get(2, asker.id, KEY, None, want)):
        answer = asker.reply(message)
        assert bool(answer.nodes4) == has_nodes
        assert answer.token is not None


def test_put_then_get() -> None:
    """Cases 1 and 8: one acknowledgement per value; all of them are there."""
    asker = Stranger(make())
    asker.take_token()
    values = [Value(bytes([number]), id=number) for number in (1, 2, 3)]
    assert [answer.value_id for answer in asker.put(*values)] == [1, 2, 3]
    assert set(asker.get().values) == set(values)


def test_a_token_is_bound_to_its_address() -> None:
    """Case 4: from another port it is refused, and the refusal is said."""
    engine = make()
    owner = Stranger(engine)
    token = owner.take_token()
    thief = Stranger(engine, port=9999)
    (refusal,) = thief.say(wire.Put(7, thief.id, KEY, (Value(b"x", id=1),), None, token))
    assert isinstance(refusal, wire.Error)
    assert (refusal.tid, refusal.code) == (7, 401)
    assert engine.stats.bad_token == 1
    for message in (
        wire.Listen(8, thief.id, KEY, token, 1, None, 1),
        wire.Refresh(9, thief.id, KEY, 1, token),
    ):
        (refusal,) = thief.say(message)
        assert isinstance(refusal, wire.Error)
        assert refusal.code == 401
    assert engine.storage_size() == (0, 0)


def test_tokens_outlive_one_rotation_of_the_secret() -> None:
    """Case 4: good now and 15 minutes later at least; bad after two rotations."""
    asker = Stranger(make())
    asker.take_token()
    asker.wait(14 * 60.0)
    assert len(asker.put(Value(b"x", id=1))) == 1
    asker.wait(91 * 60.0)
    assert asker.put(Value(b"y", id=2)) == []


@pytest.mark.parametrize("code", [203])
def test_what_has_no_key_is_an_error(code: int) -> None:
    """Reference section 1.10: a zero key; a value without an id."""
    engine = make()
    asker = Stranger(engine)
    token = asker.take_token()
    value = Value(b"x", id=1)
    for message in (
        wire.Get(1, asker.id, ZERO_HASH, None, None),
        wire.Put(2, asker.id, ZERO_HASH, (value,), None, token),
        wire.Listen(3, asker.id, ZERO_HASH, token, 1, None, 1),
        wire.Put(4, asker.id, KEY, (Value(b"x", id=0),), None, token),
    ):
        (refusal,) = asker.say(message)
        assert isinstance(refusal, wire.Error)
        assert (refusal.code, refusal.tid) == (code, message.tid)


def test_refresh() -> None:
    """Case 1: prolongs a life; unknown value is fine, unknown key is 404."""
    engine = make()
    asker = Stranger(engine)
    token = asker.take_token()
    (refusal,) = asker.say(wire.Refresh(5, asker.id, KEY, 1, token))
    assert isinstance(refusal, wire.Error)
    assert refusal.code == 404
    asker.put(Value(b"x", id=1))
    asker.wait(500.0)
    token = asker.take_token()
    assert asker.reply(wire.Refresh(6, asker.id, KEY, 1, token)).value_id == 1
    assert asker.reply(wire.Refresh(7, asker.id, KEY, 99, token)).value_id == 99
    asker.wait(599.0)
    assert len(asker.get().values) == 1
    asker.wait(2.0)
    assert asker.get().values == ()


def test_a_plain_value_cannot_be_changed() -> None:
    """Case 12: same id, other content: acknowledged and not stored; equal content refreshes."""
    engine = make()
    asker = Stranger(engine)
    asker.take_token()
    asker.put(Value(b"first", id=1))
    assert len(asker.put(Value(b"other", id=1))) == 1
    assert asker.get().values == (Value(b"first", id=1),)
    assert engine.stats.refused == 1
    asker.wait(500.0)
    asker.take_token()
    asker.put(Value(b"first", id=1))
    asker.wait(500.0)
    assert len(asker.get().values) == 1


def test_creation_times() -> None:
    """Case 16: past ones shorten the life, dead ones are not stored, future ones count as now."""
    engine = make()
    asker = Stranger(engine)
    asker.take_token()
    now = int(WALL_NOW)
    assert len(asker.put(Value(b"dead", id=1), created=now - 601)) == 1
    asker.put(Value(b"old", id=2), created=now - 500)
    asker.put(Value(b"future", id=3), created=now + 10_000)
    assert {value.id for value in asker.get().values} == {2, 3}
    asker.wait(101.0)
    assert {value.id for value in asker.get().values} == {3}
    asker.wait(500.0)
    assert asker.get().values == ()


def test_what_is_too_far_is_acknowledged_and_not_kept() -> None:
    """Case 16: fourteen nodes are closer to the key than we."""
    engine = make(DhtConfig(node_id=InfoHash(b"\xff" * 20)))
    met(engine, 20)
    asker = Stranger(engine, b"\x1e")
    asker.take_token()
    near = InfoHash(b"\x05" * 20)
    assert len(asker.put(Value(b"x", id=1), key=near)) == 1
    assert engine.storage_size() == (0, 0)
    assert engine.stats.too_far == 1
    ours = InfoHash(b"\xff" * 19 + b"\x00")
    asker.put(Value(b"x", id=1), key=ours)
    assert engine.storage_size() == (1, 1)


def test_selections() -> None:
    """Case 20: asked for fields, a node answers fields; without values, with neither."""
    asker = Stranger(make())
    asker.take_token()
    asker.put(Value(b"x", id=1, user_type="a"), Value(b"y", id=2, type=3))
    answer = asker.get(Query((Field.TYPE, Field.ID)))
    assert answer.values == ()
    assert answer.fields is not None
    assert answer.fields.fields == (Field.ID, Field.TYPE)
    assert set(answer.fields.cells) == {(1, 0), (2, 3)}
    one = asker.get(Query(where=(Condition(Field.ID, 2),)))
    assert [value.id for value in one.values] == [2]
    none = asker.get(Query((Field.ID,), (Condition(Field.ID, 9),)))
    assert none.fields is None
    assert none.values == ()


def listen(
    asker: Stranger, sid: int = 42, query: Query | None = None, version: int = 1
) -> list[wire.Message]:
    """Subscribe with the token that was taken."""
    message = wire.Listen(asker.tid(), asker.id, KEY, asker.token, sid, query, version)
    return asker.say(message)


def updates(messages: list[wire.Message]) -> list[wire.Update]:
    """Pick the updates."""
    return [one for one in messages if isinstance(one, wire.Update)]


def acknowledge(asker: Stranger, messages: list[wire.Message]) -> None:
    """Answer every update."""
    for update in updates(messages):
        asker.say(wire.Reply(update.tid, asker.id, None, b"", b"", None, (), None, None))


def test_a_listener_is_told() -> None:
    """Case 9: stored before, put, refreshed, expired; the token in it lets the listener write."""
    engine = make()
    asker = Stranger(engine)
    asker.take_token()
    asker.put(Value(b"before", id=1))
    told = listen(asker)
    (initial,) = updates(told)
    assert (initial.socket_id, initial.key, initial.version) == (42, KEY, 1)
    assert initial.values == (Value(b"before", id=1),)
    assert isinstance(told[-1], wire.Reply)
    assert told[-1].token == initial.token
    acknowledge(asker, told)
    message = wire.Put(asker.tid(), asker.id, KEY, (Value(b"new", id=2),), None, initial.token)
    told = asker.say(message)
    assert [update.values for update in updates(told)] == [(Value(b"new", id=2),)]
    acknowledge(asker, told)
    told = asker.say(
        wire.Put(asker.tid(), asker.id, KEY, (Value(b"new", id=2),), None, asker.token)
    )
    assert [update.refreshed for update in updates(told)] == [(2,)]
    acknowledge(asker, told)
    told = []
    for _ in range(40):
        told += asker.wait(15.5)
        acknowledge(asker, told)
        listen(asker)
    assert {update.tid: update.expired for update in updates(told)}.popitem()[1] == (1, 2)
    assert len({update.tid for update in updates(told)}) == 1


def test_where_counts_for_values_only() -> None:
    """Case 9: refreshes and ends of values that the filter hides are told all the same."""
    asker = Stranger(make())
    asker.take_token()
    listen(asker, query=Query(where=(Condition(Field.ID, 5),)))
    assert (
        updates(asker.say(wire.Put(1, asker.id, KEY, (Value(b"x", id=4),), None, asker.token)))
        == []
    )
    told = asker.say(wire.Put(2, asker.id, KEY, (Value(b"x", id=4),), None, asker.token))
    assert [update.refreshed for update in updates(told)] == [(4,)]
    acknowledge(asker, told)
    told = asker.say(wire.Put(3, asker.id, KEY, (Value(b"x", id=5),), None, asker.token))
    assert [update.values for update in updates(told)] == [(Value(b"x", id=5),)]


def test_a_legacy_listener_is_told_its_way() -> None:
    """Case 9: version 0 gets replies and `u` notices under its socket id, never repeated."""
    asker = Stranger(make())
    asker.take_token()
    asker.put(Value(b"x", id=1))
    told = listen(asker, sid=77, version=0)
    initial = [one for one in told if isinstance(one, wire.Reply) and one.values]
    assert [(one.tid, one.values) for one in initial] == [(77, (Value(b"x", id=1),))]
    told = asker.say(wire.Put(2, asker.id, KEY, (Value(b"x", id=1),), None, asker.token))
    (notice,) = [one for one in told if isinstance(one, wire.Notification)]
    assert (notice.tid, notice.refreshed, notice.expired) == (77, (1,), ())
    assert [one for one in asker.wait(30.0) if isinstance(one, wire.Notification)] == []


def test_a_silent_listener_is_forgotten() -> None:
    """Case 10: after ten minutes without a renewal; a renewal of the same sid repeats nothing."""
    engine = make()
    asker = Stranger(engine)
    asker.take_token()
    asker.put(Value(b"x", id=1))
    acknowledge(asker, listen(asker))
    for _ in range(40):
        asker.wait(20.0)
        asker.take_token()
        assert updates(listen(asker)) == []
    assert engine.subscriber_count == 1
    asker.wait(601.0)
    assert engine.subscriber_count == 0


def test_a_dead_listener_is_forgotten_sooner() -> None:
    """One update that is never acknowledged ends the subscription."""
    engine = make()
    asker = Stranger(engine)
    asker.take_token()
    listen(asker)
    asker.put(Value(b"x", id=1))
    asker.wait(10.0)
    assert engine.subscriber_count == 0


def test_large_initial_batches_are_cut() -> None:
    """Case 7 and reference 1.9.2: a new update starts when 56 KiB have been reached."""
    asker = Stranger(make())
    asker.take_token()
    for number in range(1, 9):
        asker.put(Value(bytes(20_000), id=number))
    effects: list[object] = []
    message = wire.Listen(1, asker.id, KEY, asker.token, 4, None, 1)
    for datagram in wire.encode(message):
        effects += asker.engine.receive(datagram, asker.addr, asker.now)
    heads = [one for one in asker.read(effects) if isinstance(one, wire.Update)]
    assert [len(head.sizes or ()) for head in heads] == [3, 3, 2]


def test_subscriptions_are_bounded_per_address() -> None:
    """One address gets 4,096; further ones are not answered."""
    engine = make(DhtConfig(rate_limit_total=-1, rate_limit_per_address=-1))
    asker = Stranger(engine)
    asker.take_token()
    answers = [bool(listen(asker, sid=sid)) for sid in range(1, PER_SENDER_MAX + 11)]
    assert sum(answers) == PER_SENDER_MAX
    assert engine.subscriber_count == PER_SENDER_MAX


def test_an_update_to_an_unknown_socket_is_acknowledged() -> None:
    """Reference section 1.9.2; and nothing else happens."""
    engine = make()
    asker = Stranger(engine)
    message = wire.Update(9, asker.id, 5, b"t" * 32, KEY, (Value(b"x", id=1),), None, (), (), 1)
    assert asker.reply(message).tid == 9
    assert engine.storage_size() == (0, 0)
    assert not [one for one in asker.events if isinstance(one, ValuesFound | ValuesExpired)]


def test_networks_are_kept_apart() -> None:
    """Case 3: other network, no answer; the same, an answer; 0 may not be told."""
    engine = make(DhtConfig(network=7))
    asker = Stranger(engine)
    (own,) = wire.encode(wire.Ping(1, asker.id), network=7)
    (public,) = wire.encode(wire.Ping(1, asker.id))
    effects = engine.receive(own, asker.addr, 0.0)
    answers = [effect.data for effect in effects if isinstance(effect, SendDatagram)]
    assert {wire.decode(answer).network for answer in answers} == {7}
    assert engine.receive(public, asker.addr, 0.0) == []
    assert engine.stats.foreign == 1


def test_requests_are_limited_per_address() -> None:
    """Case 21: 1,024 in a second from one address, 8,192 from all; the rest is dropped."""
    engine = make()
    ping = wire.encode(wire.Ping(1, InfoHash(b"s" * 20)))[0]
    flood = Address(bytes((203, 0, 113, 1)), 5)
    assert sum(bool(engine.receive(ping, flood, 0.0)) for _ in range(2000)) == 1024
    answered = 0
    for last in range(2, 22):
        other = Address(bytes((203, 0, 113, last)), 5)
        answered += sum(bool(engine.receive(ping, other, 0.0)) for _ in range(1000))
    assert answered == 8192 - 1024
    assert engine.receive(ping, flood, 1.1)
    assert engine.stats.limited == 2000 - 1024 + 20_000 - (8192 - 1024)


def test_who_breaks_the_protocol_is_ignored() -> None:
    """A find reply without a token: its address is not listened to any more."""
    engine = make()
    (peer,) = met(engine, 1)
    asked = peer.read(list(engine.get(1, KEY, 0.1)))
    (question,) = [one for one in asked if isinstance(one, wire.Get)]
    peer.say(wire.Reply(question.tid, peer.id, None, b"", b"", None, (), None, None))
    assert peer.say(wire.Ping(5, peer.id)) == []
    assert engine.stats.blacklisted == 2


def test_a_stranger_cannot_take_a_node_over() -> None:
    """Gotcha 32: a request from elsewhere under a known id is answered there, and checked."""
    engine = make()
    (peer,) = met(engine, 1)
    thief = Stranger(engine, b"\x01", port=6666)
    assert thief.id == peer.id
    thief.addr = Address(bytes((203, 0, 113, 99)), 6666)
    answers = thief.say(wire.Ping(5, thief.id))
    assert [type(one) for one in answers] == [wire.Ping, wire.Reply]
    assert dict(engine.export_nodes(0.0))[peer.id] == peer.addr
    assert engine.stats.unproven_moves == 1
    ping = answers[0]
    assert isinstance(ping, wire.Ping)
    thief.say(wire.Reply(ping.tid, thief.id, None, b"", b"", None, (), None, None))
    assert dict(engine.export_nodes(0.0))[peer.id] == thief.addr


def test_our_own_id_and_none_are_nobody() -> None:
    """Messages that claim them are dropped."""
    engine = make()
    asker = Stranger(engine)
    for sender in (engine.node_id, ZERO_HASH):
        assert asker.say(wire.Ping(1, sender)) == []
    assert engine.stats.bad_sender == 2


@pytest.mark.parametrize("host", ["0.1.2.3", "224.0.0.1", "255.255.255.255", "::", "ff02::1"])
def test_martians_are_dropped(host: str) -> None:
    """No node is at a multicast or unspecified address, nor at port 0."""
    engine = make()
    (ping,) = wire.encode(wire.Ping(1, InfoHash(b"s" * 20)))
    assert engine.receive(ping, Address.parse(host, 5), 0.0) == []
    assert engine.receive(ping, Address.parse("192.0.2.1", 0), 0.0) == []


def test_a_node_without_a_family_ignores_it() -> None:
    """No socket, no answer."""
    engine = make(DhtConfig(families=(Family.IPV4,)))
    (ping,) = wire.encode(wire.Ping(1, InfoHash(b"s" * 20)))
    assert engine.receive(ping, Address.parse("2001:db8::1", 5), 0.0) == []


@given(datagrams=st.lists(st.tuples(st.binary(max_size=200), st.integers(0, 255)), max_size=20))
def test_garbage_is_counted(datagrams: list[tuple[bytes, int]]) -> None:
    """Whatever arrives, the node goes on, and says how much of it made no sense."""
    engine = make()
    for data, last in datagrams:
        engine.receive(data, Address(bytes((203, 0, 113, last)), 5), 0.0)
    assert engine.stats.received == len(datagrams)
    asker = Stranger(engine)
    assert asker.reply(wire.Ping(1, asker.id)).tid == 1


def test_a_get_of_much_is_answered_with_ids() -> None:
    """Else whoever forges the source of a get has megabytes sent there; one value comes whole."""
    engine = make()
    asker = Stranger(engine)
    asker.take_token()
    for number in range(1, 8):
        asker.put(Value(bytes(60_000), id=number))
    (answer,) = [
        wire.decode(one).message for one in sent_to(asker, wire.Get(1, asker.id, KEY, None, None))
    ]
    assert isinstance(answer, wire.Reply)
    assert answer.values == ()
    assert answer.sizes is None
    assert answer.fields is not None
    assert {row.id for row in answer.fields.rows()} == set(range(1, 8))
    one = Query(where=(Condition(Field.ID, 3),))
    parts = sent_to(asker, wire.Get(2, asker.id, KEY, one, None))
    assert 45 < len(parts) < 60


def test_rows_fit_one_datagram() -> None:
    """However many values there are, and however long their fields."""
    engine = make(DhtConfig(rate_limit_total=-1, rate_limit_per_address=-1, storage_limit=10**8))
    asker = Stranger(engine)
    asker.take_token()
    for first in range(1, 9000, 50):
        values = tuple(Value(user_type="t" * 30, id=first + place) for place in range(50))
        asker.put(*values)
    assert engine.storage_size()[0] == 9000
    for query in (Query((Field.ID,)), Query((Field.ID, Field.USER_TYPE))):
        (answer,) = sent_to(asker, wire.Get(1, asker.id, KEY, query, None))
        assert 15_000 < len(answer) < 65_000


def test_a_put_of_many_values_is_cut() -> None:
    """A datagram of thousands of tiny values does not cost thousands of answers."""
    engine = make()
    asker = Stranger(engine)
    asker.take_token()
    values = tuple(Value(id=number) for number in range(1, 101))
    assert len(asker.put(*values)) == PUT_VALUES_MAX
    assert engine.storage_size()[0] == PUT_VALUES_MAX
    assert engine.stats.refused == 100 - PUT_VALUES_MAX


def sent_to(asker: Stranger, message: wire.Message) -> list[bytes]:
    """Return the datagrams that answer *message*."""
    (datagram,) = wire.encode(message)
    effects = asker.engine.receive(datagram, asker.addr, asker.now)
    return [one.data for one in effects if isinstance(one, SendDatagram) and one.addr == asker.addr]
