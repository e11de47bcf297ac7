"""How chains begin."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.chain.addresses import ChainAddress
from shoal.chain.contract import load_contract
from shoal.chain.errors import InvalidGenesisError
from shoal.chain.genesis import (
    ACCOUNTS_MAX,
    CHAIN_ID_MAX,
    FAUCET_WEI,
    GENESIS_SIZE_MAX,
    Genesis,
    GenesisAccount,
    new_genesis,
)
from shoal.chain.registry import GENESIS_ADDRESS
from shoal.sim import SeededEntropy

FAUCET = ChainAddress(bytes([3]) * 20)
WORDS = st.integers(0, 2**256 - 1)
ACCOUNTS = st.builds(
    GenesisAccount,
    WORDS,
    st.binary(max_size=50),
    st.integers(0, 2**50),
    st.dictionaries(WORDS, WORDS, max_size=3).map(lambda each: tuple(each.items())),
)


@given(
    st.integers(1, CHAIN_ID_MAX),
    st.integers(0, 2**40),
    st.dictionaries(st.binary(min_size=20, max_size=20).map(ChainAddress), ACCOUNTS, max_size=3),
)
def test_round_trip(
    chain_id: int, wall_time: int, accounts: dict[ChainAddress, GenesisAccount]
) -> None:
    """What is written is read, and written the same again."""
    genesis = Genesis(chain_id, wall_time, accounts)
    text = genesis.to_json()

    assert Genesis.parse(text) == genesis
    assert Genesis.parse(text).to_json() == text


def test_a_new_chain_has_registry_and_faucet() -> None:
    """At its address, with the shipped code; and an id of its own."""
    genesis = new_genesis(FAUCET, 1.7e9, SeededEntropy(1))

    assert genesis.accounts[GENESIS_ADDRESS].code == load_contract("Registry").runtime
    assert genesis.accounts[FAUCET].balance_wei == FAUCET_WEI
    assert genesis.chain_id != new_genesis(FAUCET, 1.7e9, SeededEntropy(2)).chain_id
    assert new_genesis(FAUCET, 1.7e9, SeededEntropy(1), chain_id=5).chain_id == 5


def test_files_of_other_tools_are_read() -> None:
    """Numbers as text or numbers, decimal or hexadecimal; fields that we do not use."""
    content = {
        "config": {"chainId": 99, "clique": {"period": 5}},
        "alloc": {"0x" + "11" * 20: {"balance": "1000"}, "22" * 20: {"balance": "0xff"}},
        "coinbase": "0x" + "00" * 20,
    }
    genesis = Genesis.parse(json.dumps(content))

    assert genesis.chain_id == 99
    assert [each.balance_wei for each in genesis.accounts.values()] == [1000, 255]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"config": {"chainId": 0}, "alloc": {}}',
        '{"config": {"chainId": true}, "alloc": {}}',
        '{"config": {"chainId": 1}, "alloc": {"12": {}}}',
        '{"config": {"chainId": 1}, "alloc": {"%s": {"balance": -1}}}' % ("11" * 20),
        '{"config": {"chainId": 1}, "alloc": {"%s": {"code": "xyz"}}}' % ("11" * 20),
        '{"config": {"chainId": 1}, "alloc": []}',
        " " * (GENESIS_SIZE_MAX + 1),
    ],
    ids=range(10),
)
def test_what_is_no_genesis(text: str) -> None:
    """By one typed error."""
    if text.endswith("[]}"):
        assert Genesis.parse(text.replace("[]", "{}")).accounts == {}
    with pytest.raises(InvalidGenesisError):
        Genesis.parse(text)


def test_accounts_are_bounded() -> None:
    """Ten thousand."""
    alloc: dict[str, object] = {number.to_bytes(20).hex(): {} for number in range(ACCOUNTS_MAX + 1)}
    with pytest.raises(InvalidGenesisError, match="accounts"):
        Genesis.parse(json.dumps({"config": {"chainId": 1}, "alloc": alloc}))


@given(st.text(max_size=100))
def test_any_text_is_a_genesis_or_refused(text: str) -> None:
    """Nothing else is raised."""
    try:
        Genesis.parse(text)
    except InvalidGenesisError:
        return
