"""Following a chain: forwards, around reorganisations, through outages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from shoal.chain import abi
from shoal.chain.errors import ChainUnreachableError, RevertedError
from shoal.names.driver import follower as module
from shoal.names.driver.follower import ChainFollower
from shoal.names.driver.index import Index
from shoal.names.errors import NameStoreError, RegistryMissingError
from tests.unit.names.fake_chain import OTHER, FakeChain, released, reserved, transferred
from tests.unit.names.people import owner_of, record_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALICE, BOB = record_of("alice"), record_of("bob")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """A fresh one."""
    made = Index(tmp_path / "index.sqlite")
    yield made
    made.close()


def following(chain: FakeChain, index: Index, first_block: int = 0) -> ChainFollower:
    """Return a follower that tells nobody."""
    return ChainFollower(
        chain, chain.registry, index, first_block=first_block, on_change=lambda: None
    )


async def test_everything_is_read(index: Index) -> None:
    """In several steps, over logs that are not the registry's or are broken."""
    chain = FakeChain()
    for _ in range(2500):
        chain.mine()
    chain.mine(reserved(ALICE), ((OTHER,), b""), (reserved(BOB)[0], b"broken"))
    chain.mine(transferred("alice", owner_of("bob")))
    chain.mine(reserved(BOB), released("bob", BOB.account, owner_of("bob")))
    follower = following(chain, index)

    await follower.catch_up()

    found = index.find("alice")
    assert found is not None
    assert found.owner == owner_of("bob")
    assert index.find("bob") is None
    assert follower.malformed == 1
    status = index.status()
    assert (status.block, status.head, status.is_complete) == (2503, 2503, True)
    assert status.is_chain_up


async def test_a_disk_that_fails(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read and could not be kept is read again."""
    chain = FakeChain()
    chain.mine(reserved(ALICE))
    follower = following(chain, index)
    honest = index.add

    def failing(*asked: object) -> None:
        raise NameStoreError("no space left")

    monkeypatch.setattr(index, "add", failing)
    with pytest.raises(NameStoreError):
        await follower.catch_up()
    monkeypatch.setattr(index, "add", honest)
    await follower.catch_up()
    assert index.find("alice") is not None


async def test_a_chain_that_never_stands_still(index: Index) -> None:
    """The reading ends some time, and knows that it is not complete."""
    chain = FakeChain()
    honest = chain.logs

    async def moving(*asked: object) -> object:
        logs = await honest(*asked)  # type: ignore[arg-type]
        chain.reorganise(0)
        chain.mine()
        return logs

    chain.logs = moving  # type: ignore[assignment]
    await following(chain, index).catch_up()
    assert not index.status().is_complete


async def test_a_reorganisation(index: Index) -> None:
    """What the lost blocks said is forgotten, what the new ones say is read."""
    chain = FakeChain()
    follower = following(chain, index)
    for events in ([reserved(ALICE)], [], [reserved(BOB)]):
        chain.mine(*events)
        await follower.catch_up()
    chain.reorganise(3)
    await follower.catch_up()
    assert index.find("alice") is not None
    assert index.find("bob") is None
    chain.mine(reserved(record_of("carol", "bob")))
    await follower.catch_up()

    found = index.find("bob")
    assert found is not None
    assert found.account == record_of("carol").account
    assert index.status().reorganisations == 1


async def test_a_deep_reorganisation(index: Index) -> None:
    """Deeper than anything that was remembered: all is read anew."""
    chain = FakeChain()
    chain.mine(reserved(ALICE))
    follower = following(chain, index)
    await follower.catch_up()
    chain.reorganise(0)
    chain.mine(reserved(BOB))
    await follower.catch_up()

    assert index.find("alice") is None
    assert index.find("bob") is not None


async def test_the_past_is_skipped(index: Index) -> None:
    """Where the registry was not yet there; after a deep reorganisation too."""
    chain = FakeChain()
    chain.mine(reserved(ALICE))
    chain.mine(reserved(BOB))
    follower = following(chain, index, first_block=2)
    await follower.catch_up()
    assert index.find("alice") is None
    assert index.find("bob") is not None
    chain.reorganise(1)
    chain.mine()
    chain.mine(reserved(BOB))
    await follower.catch_up()
    assert index.find("bob") is not None


async def test_the_chain_changes_while_it_is_read(index: Index) -> None:
    """Logs of one branch and hashes of another are never mixed."""
    chain = FakeChain()
    chain.mine(reserved(ALICE))
    honest = chain.logs
    switched = False

    async def switching(*asked: object) -> object:
        nonlocal switched
        logs = await honest(*asked)  # type: ignore[arg-type]
        if not switched:
            switched = True
            chain.reorganise(1)
            chain.mine(reserved(BOB))
        return logs

    chain.logs = switching  # type: ignore[assignment]
    await following(chain, index).catch_up()

    assert index.find("alice") is None
    assert index.find("bob") is not None


async def test_the_chain_changes_just_before_it_is_read(index: Index) -> None:
    """Blocks are never added to what was read of another branch, however long theirs is."""
    chain = FakeChain()
    chain.mine(reserved(ALICE))
    follower = following(chain, index)
    await follower.catch_up()
    chain.mine()
    honest, switched = chain.block_number, False

    async def switching() -> int:
        nonlocal switched
        if not switched:  # the last block was just found to be there
            switched = True
            chain.reorganise(1)
            for events in ([reserved(BOB)], [], []):
                chain.mine(*events)
        return await honest()

    chain.block_number = switching  # type: ignore[method-assign]
    await follower.catch_up()

    assert index.find("alice") is None
    assert index.find("bob") is not None


async def test_who_may_be_followed(index: Index) -> None:
    """A registry of ours, and always the same."""
    chain = FakeChain()
    chain.version = abi.encode(["string"], ["something else"])
    with pytest.raises(RegistryMissingError):
        await following(chain, index).catch_up()

    async def refusing(*asked: object, **wishes: object) -> bytes:
        raise RevertedError

    honest, chain.call = chain.call, refusing  # type: ignore[method-assign]
    with pytest.raises(RegistryMissingError):
        await following(chain, index).catch_up()
    chain.call = honest  # type: ignore[method-assign]
    chain.version = FakeChain().version
    await following(chain, index).catch_up()
    other = FakeChain()
    other.id = 78
    with pytest.raises(NameStoreError, match="chain 77"):
        await following(other, index).catch_up()


async def test_through_outages(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every change is told; the chain may come and go at any time."""
    monkeypatch.setattr(module, "RETRY", 0.0)
    chain = FakeChain()
    states: asyncio.Queue[tuple[bool, int]] = asyncio.Queue()

    def told() -> None:
        status = index.status()
        states.put_nowait((status.is_chain_up, status.block))

    async def reached(state: tuple[bool, int]) -> None:
        async with asyncio.timeout(10):
            while await states.get() != state:
                pass

    follower = ChainFollower(chain, chain.registry, index, on_change=told)
    task = asyncio.ensure_future(follower.run())
    await reached((True, 0))
    chain.mine(reserved(ALICE))
    await reached((True, 1))
    chain.go_away()
    await reached((False, 1))
    chain.blocks.append(chain.blocks[0])
    chain.come_back()
    await reached((True, 2))
    chain.logs_max = 0  # an error that will not pass by itself
    monkeypatch.setattr(module, "WAIT", 0.0)
    chain.mine()
    await reached((False, 2))
    chain.logs_max = 10
    await reached((True, 3))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_outage_is_an_error_to_whoever_asks(index: Index) -> None:
    """`catch_up` does not hide it."""
    chain = FakeChain()
    chain.go_away()
    with pytest.raises(ChainUnreachableError):
        await following(chain, index).catch_up()
