"""What hypothesis draws for the DHT: addresses, values, queries, messages."""

from __future__ import annotations

from hypothesis import strategies as st

from shoal.core import Address, InfoHash
from shoal.core.ids import ZERO_HASH
from shoal.dht import wire
from shoal.dht.query import Condition, Field, FieldTable, Query
from shoal.dht.value import Value

UINT16 = st.integers(0, 0xFFFF)
UINT32 = st.integers(0, 0xFFFF_FFFF)
UINT64 = st.integers(0, 0xFFFF_FFFF_FFFF_FFFF)
HASHES = st.binary(min_size=20, max_size=20).map(InfoHash)
IPS = st.sampled_from([4, 16]).flatmap(lambda size: st.binary(min_size=size, max_size=size))
ADDRESSES = st.builds(Address, IPS, UINT16)
# Any bytes a peer may call text: foreign ones are lone surrogates, as the readers make them.
TEXTS = st.binary(max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape"))
TOKENS = st.binary(max_size=70)


@st.composite
def _signed(draw: st.DrawFn) -> Value:
    """Draw a value with an owner; nobody checks the signature."""
    return Value(
        draw(st.binary(max_size=300)),
        draw(UINT16),
        draw(UINT64),
        draw(TEXTS),
        draw(st.binary(min_size=1, max_size=300)),
        draw(st.none() | HASHES.filter(lambda id_: id_ != ZERO_HASH)),
        draw(UINT16),
        draw(st.binary(min_size=1, max_size=300)),
        priority=draw(UINT32),
        push_type=draw(TEXTS),
    )


PLAIN = st.builds(
    Value,
    data=st.binary(max_size=300),
    type=UINT16,
    id=UINT64,
    user_type=TEXTS,
    priority=st.just(0) | UINT32,
    push_type=st.just("") | TEXTS,
)
SIGNED = _signed()
ENCRYPTED = st.builds(Value, id=UINT64, cypher=st.binary(min_size=1, max_size=300))
VALUES = PLAIN | SIGNED | ENCRYPTED

CONDITIONS = st.one_of(
    st.builds(Condition, st.just(Field.ID), UINT64),
    st.builds(Condition, st.just(Field.TYPE), UINT16),
    st.builds(Condition, st.just(Field.OWNER), HASHES),
    st.builds(Condition, st.just(Field.USER_TYPE), TEXTS),
)
SELECTIONS = st.lists(st.sampled_from(Field), unique=True).map(tuple)
QUERIES = st.builds(Query, SELECTIONS, st.lists(CONDITIONS, max_size=5).map(tuple))
_ASKED = st.none() | QUERIES.filter(lambda query: query.is_sendable)
_WANT = st.none() | st.lists(UINT16, max_size=4).map(tuple)
_IDS = st.lists(UINT64, max_size=20).map(tuple)
_CREATED = st.none() | st.integers(0, 2**63 - 1)
_FEW = st.lists(PLAIN, max_size=3).map(tuple)

TABLES = st.builds(
    FieldTable.of,
    SELECTIONS.filter(bool),
    st.lists(PLAIN | SIGNED, max_size=4),
)
REQUESTS = st.one_of(
    st.builds(wire.Ping, UINT32, HASHES),
    st.builds(wire.Find, UINT32, HASHES, HASHES, _WANT),
    st.builds(wire.Get, UINT32, HASHES, HASHES, _ASKED, _WANT),
    st.builds(wire.Put, UINT32, HASHES, HASHES, _FEW, _CREATED, TOKENS),
    st.builds(wire.Refresh, UINT32, HASHES, HASHES, UINT64, TOKENS),
    st.builds(
        wire.Listen, UINT32, HASHES, HASHES, TOKENS, UINT32, _ASKED, st.integers(0, 2**31 - 1)
    ),
    st.builds(
        wire.Update, UINT32, HASHES, UINT32, TOKENS, HASHES, _FEW, _CREATED, _IDS, _IDS, UINT16
    ),
    st.builds(
        wire.Update,
        UINT32,
        HASHES,
        UINT32,
        TOKENS,
        st.none(),
        st.just(()),
        st.none(),
        _IDS,
        _IDS,
        st.just(0),
    ),
)
REPLIES = st.builds(
    wire.Reply,
    UINT32,
    HASHES,
    st.none() | IPS,
    st.binary(max_size=60),
    st.binary(max_size=60),
    st.none() | TOKENS,
    _FEW,
    st.none(),
    st.none() | UINT64,
) | st.builds(
    wire.Reply,
    UINT32,
    HASHES,
    st.none() | IPS,
    st.just(b""),
    st.just(b""),
    st.none(),
    st.just(()),
    TABLES,
    st.none(),
)
PIECES = st.builds(wire.Piece, st.integers(0, 20), UINT32, st.binary(max_size=100))
PARTS = st.builds(
    wire.Part,
    UINT32,
    st.lists(PIECES, max_size=20, unique_by=lambda piece: piece.place).map(tuple),
)
MESSAGES = st.one_of(
    REQUESTS,
    REPLIES,
    st.builds(wire.Error, UINT32, st.none() | HASHES, UINT16, TEXTS),
    st.builds(wire.Notification, UINT32, HASHES, TOKENS, _IDS, _IDS),
    PARTS,
)
