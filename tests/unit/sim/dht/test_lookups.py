"""Watching a lookup: hops are counted from the datagrams alone."""

from __future__ import annotations

from shoal.core import Address, InfoHash
from shoal.dht import Value, wire
from shoal.dht.query import Field, FieldTable
from shoal.sim.dht.lookups import LookupWatch

KEY = InfoHash.of(b"key")
ME = InfoHash.of(b"me")
VALUE = Value(data=b"v", id=7)


def addr(number: int) -> Address:
    """The address of node *number*."""
    return Address(bytes((198, 51, 100, number)), 4222)


def node(number: int) -> InfoHash:
    """The id of node *number*."""
    return InfoHash.of(b"node %d" % number)


def asked(watch: LookupWatch, number: int, now: float, *, key: InfoHash = KEY) -> None:
    """Let the looker send a get to node *number*."""
    (data,) = wire.encode(wire.Get(number, ME, key, None, None))
    watch.sent(data, addr(number), now)


def answered(
    watch: LookupWatch,
    number: int,
    now: float,
    *,
    names: tuple[int, ...] = (),
    values: tuple[Value, ...] = (),
    fields: FieldTable | None = None,
) -> None:
    """Let node *number* answer, naming others."""
    nodes = wire.compact_nodes([(node(other), addr(other)) for other in names])
    reply = wire.Reply(number, node(number), b"", nodes, b"", b"token", values, fields, None)
    for data in wire.encode(reply):
        watch.received(data, addr(number), now)


def watch(*known: int) -> LookupWatch:
    """A lookup by somebody who knows these nodes."""
    return LookupWatch(KEY, VALUE.id, [addr(number) for number in known], 10.0)


def test_hops_are_the_length_of_the_chain_of_referrals() -> None:
    """1 was known and named 2, which named 3, which had it: three hops."""
    lookup = watch(1)
    asked(lookup, 1, 10.0)
    answered(lookup, 1, 10.1, names=(2,))
    asked(lookup, 2, 10.1)
    answered(lookup, 2, 10.2, names=(3, 1))
    asked(lookup, 3, 10.2)
    answered(lookup, 3, 10.3, values=(VALUE,))
    lookup.found(10.3)
    result = lookup.result(10.5)
    assert (result.is_found, result.hops, result.requests) == (True, 3, 3)
    assert (result.start, result.first_value, result.done) == (10.0, 10.3 - 10.0, 0.5)
    assert lookup.chain() == [node(1), node(2), node(3)]


def test_who_was_known_has_one_hop_even_if_named_again() -> None:
    """The shortest way counts."""
    lookup = watch(1, 2)
    asked(lookup, 1, 10.0)
    answered(lookup, 1, 10.1, names=(2,))
    asked(lookup, 2, 10.1)
    answered(lookup, 2, 10.2, values=(VALUE,))
    lookup.found(10.2)
    assert lookup.result(None).hops == 1


def test_somebody_asked_without_a_referral_was_known() -> None:
    """The engine may know nodes that its routing table does not show."""
    lookup = watch()
    asked(lookup, 4, 10.0)
    answered(lookup, 4, 10.1, values=(VALUE,))
    lookup.found(10.1)
    assert lookup.result(None).hops == 1


def test_rows_show_who_holds_the_value() -> None:
    """A paginated get asks for ids first; an empty table holds nothing."""
    lookup = watch(1, 2)
    for number, held in ((1, ()), (2, (VALUE,))):
        asked(lookup, number, 10.0)
        answered(lookup, number, 10.1, fields=FieldTable.of((Field.ID,), held))
    assert lookup.chain() == [node(2)]


def test_values_in_parts_show_who_holds_them() -> None:
    """The header announces sizes."""
    lookup = watch(1)
    asked(lookup, 1, 10.0)
    answered(lookup, 1, 10.1, values=(Value(data=bytes(3000), id=7),))
    assert lookup.chain() == [node(1)]


def test_other_traffic_does_not_count() -> None:
    """Other keys, answers nobody asked for, requests of others, and noise."""
    lookup = watch(1)
    asked(lookup, 1, 10.0, key=ME)
    answered(lookup, 1, 10.1, values=(VALUE,))
    lookup.received(wire.encode(wire.Ping(9, node(3)))[0], addr(3), 10.0)
    lookup.received(b"noise", addr(3), 10.0)
    lookup.sent(b"noise", addr(3), 10.0)
    lookup.sent(wire.encode(wire.Ping(9, ME))[0], addr(1), 10.0)
    result = lookup.result(11.0)
    assert (result.is_found, result.hops, result.requests) == (False, None, 0)
    assert lookup.chain() == []


def test_a_find_of_the_key_counts_as_a_request() -> None:
    """Searches also send finds; repeats count too."""
    lookup = watch(1)
    (data,) = wire.encode(wire.Find(5, ME, KEY, None))
    lookup.sent(data, addr(1), 10.0)
    lookup.sent(data, addr(1), 11.0)
    assert lookup.result(None).requests == 2


def test_a_value_of_its_own_store_is_no_hop_away() -> None:
    """The engine reports it before anybody answered; later reports change nothing."""
    lookup = watch(1)
    lookup.found(10.0)
    lookup.found(12.0)
    result = lookup.result(13.0)
    assert (result.hops, result.first_value) == (0, 0.0)
