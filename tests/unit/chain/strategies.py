"""Names, accounts and evidence for tests."""

from __future__ import annotations

from hypothesis import strategies as st

from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash
from shoal.chain.registry import Reservation
from shoal.chain.values import Log
from shoal.core import AccountId

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_"
names = st.text(LETTERS, min_size=3, max_size=32)
addresses = st.binary(min_size=20, max_size=20).map(ChainAddress)
accounts = st.binary(min_size=20, max_size=20).filter(any).map(AccountId)
hashes = st.binary(min_size=32, max_size=32)
reservations = st.builds(
    Reservation,
    name=names,
    account=accounts,
    public_key=st.binary(min_size=1, max_size=80),
    signature=st.binary(min_size=1, max_size=80),
    owner=st.none() | addresses.filter(any),
)
logs = st.builds(
    Log,
    address=addresses,
    topics=st.lists(hashes, max_size=4).map(tuple),
    data=st.binary(max_size=100),
    block_number=st.integers(0, 2**40),
    block_hash=hashes.map(BlockHash),
    tx_hash=hashes.map(TransactionHash),
    index=st.integers(0, 1000),
)
