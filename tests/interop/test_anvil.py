"""The chain's code against a real Ethereum node: `anvil`."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from shoal.chain import Call, ChainAddress, NameReserved, NameTransferred, Reservation
from shoal.chain.config import RpcConfig, TransactionConfig
from shoal.chain.contract import load_contract
from shoal.chain.driver import (
    EmbeddedChain,
    EventsRead,
    NameEntry,
    RegistryClient,
    TransactionSender,
    create_chain,
    load_key,
    new_key,
)
from shoal.chain.driver.rpc import RpcChain
from shoal.chain.errors import (
    ChainUnreachableError,
    NotDeployedError,
    OutOfFundsError,
    Refusal,
    RegistryRefusedError,
    RevertedError,
    WrongChainError,
)
from shoal.chain.following import Undone
from shoal.chain.keys import ChainKey
from shoal.chain.registry import GENESIS_ADDRESS
from shoal.chain.transaction import Transaction
from shoal.core import AccountId
from tests.peers.anvil import CHAIN_ID, RICH_KEY, Anvil
from tests.peers.peer import LOOPBACK, free_port
from tests.peers.presence import Need, require

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from shoal.chain.driver import FollowStep

PATIENCE: Final = 60.0  # seconds for whatever a test waits for
FAST: Final = TransactionConfig(
    confirmations=1, poll_interval=0.05, retry_interval=0.1, resend_interval=0.5
)
QUICK: Final = RpcConfig(attempts=1, poll_interval=0.02)
RICH: Final = ChainKey.parse(RICH_KEY)
OWNER: Final = ChainAddress(bytes([7]) * 20)


@pytest.fixture
def node() -> Iterator[Anvil]:
    """A node that makes a block of each transaction."""
    require(Need.ANVIL)
    with Anvil() as anvil:
        yield anvil


def reservation(name: str, owner: ChainAddress | None = OWNER) -> Reservation:
    """A name for an account of its own, with evidence of the sizes of RSA-4096."""
    account = AccountId(name.encode().rjust(20, b"."))
    return Reservation(name, account, b"key of " + name.encode() * 100, bytes(512) + b"!", owner)


@asynccontextmanager
async def opened(
    node: Anvil, folder: Path, config: TransactionConfig = FAST
) -> AsyncIterator[tuple[RpcChain, TransactionSender]]:
    """The node's chain, and one who sends to it."""
    async with (
        asyncio.timeout(PATIENCE),
        RpcChain(node.url, QUICK) as chain,
        TransactionSender(chain, RICH, folder / "transactions", config) as sender,
    ):
        yield chain, sender


async def deploy(chain: RpcChain, sender: TransactionSender) -> RegistryClient:
    """Put a registry onto the chain."""
    receipt = await sender.submit("deploy", Call(None, load_contract("Registry").bytecode))
    assert receipt.contract is not None
    return RegistryClient(chain, receipt.contract, sender=sender)


async def test_a_registry_is_deployed_and_used(node: Anvil, tmp_path: Path) -> None:
    """Deploy, register for another and for oneself, look up both ways, read the events."""
    async with opened(node, tmp_path) as (chain, sender):
        registry = await deploy(chain, sender)
        await registry.check()
        entry = await registry.register(reservation("alice"))
        own = await registry.register(reservation("bob", owner=None))

        assert (entry.owner, own.owner) == (OWNER, RICH.address)
        assert await registry.lookup("alice") == entry
        assert await registry.reverse(own.account) == "bob"
        assert await registry.lookup("carol") is None
        assert [event.name for event in await registry.events(0)] == ["alice", "bob"]
        assert entry.public_key == reservation("alice").public_key

        await registry.transfer("bob", OWNER)
        kinds = [type(event) for event in await registry.events(0)]
        assert kinds == [NameReserved, NameReserved, NameTransferred]


async def test_refusals_are_those_of_the_contract(node: Anvil, tmp_path: Path) -> None:
    """What the contract refuses comes as a typed error, and costs nothing."""
    async with opened(node, tmp_path) as (chain, sender):
        registry = await deploy(chain, sender)
        first = await registry.register(reservation("alice"))
        before = await chain.balance(RICH.address)

        with pytest.raises(RegistryRefusedError) as taken:
            await registry.register(
                replace(reservation("alice"), account=AccountId(bytes([1]) * 20))
            )
        with pytest.raises(RegistryRefusedError) as named:
            await registry.register(replace(reservation("alice2"), account=first.account))
        with pytest.raises(RevertedError, match="not the owner"):
            await registry.release("alice")

        assert taken.value.refusal is Refusal.NAME_TAKEN
        assert named.value.refusal is Refusal.ACCOUNT_HAS_NAME
        assert await chain.balance(RICH.address) == before


async def test_both_chains_do_the_same(node: Anvil, tmp_path: Path) -> None:
    """One script on the embedded chain and on a real one: equal answers, logs and refusals."""

    async def play(registry: RegistryClient) -> list[object]:
        seen: list[object] = [await registry.register(reservation(f"name-{n}")) for n in range(3)]
        again, own = reservation("name-1", OWNER), reservation("name_4", None)
        seen += [(await registry.register(asked)).name for asked in (again, own)]
        accounts = again.account, AccountId(bytes([9]) * 20)
        seen += [await registry.reverse(account) for account in accounts]
        with pytest.raises(RegistryRefusedError) as refused:
            await registry.register(replace(reservation("name-1"), signature=b"another"))
        seen.append(refused.value.refusal)
        with pytest.raises(RevertedError) as reverted:
            await registry.chain.call(registry.registry.release("nobody-has-it"))
        seen.append((reverted.value.reason, reverted.value.data))
        events = await registry.events(0)
        return [*seen, [(type(each), each.name) for each in events]]

    async with opened(node, tmp_path) as (chain, sender):
        real = await play(await deploy(chain, sender))
    async with EmbeddedChain(tmp_path / "chain") as own:
        await own.fund(RICH.address)
        async with TransactionSender(own, RICH, tmp_path / "own") as sender:
            embedded = await play(RegistryClient(own, sender=sender))

    def timeless(seen: list[object]) -> list[object]:
        """Blocks and hashes differ, of course."""
        return [(each.name, each.owner) if isinstance(each, NameEntry) else each for each in seen]

    assert timeless(real) == timeless(embedded)


async def test_a_node_begins_with_our_genesis_file(tmp_path: Path) -> None:
    """`anvil --init` takes it: the chain id, the faucet's coins and the registry are there."""
    require(Need.ANVIL)
    genesis = create_chain(tmp_path / "chain")
    faucet = load_key(tmp_path / "chain" / "faucet.key")
    with Anvil(genesis=tmp_path / "chain" / "genesis.json") as node:
        async with (
            asyncio.timeout(PATIENCE),
            RpcChain(node.url, QUICK) as chain,
            TransactionSender(chain, faucet, tmp_path / "transactions", FAST) as sender,
        ):
            assert await chain.chain_id() == genesis.chain_id
            assert await chain.balance(faucet.address) == 10**27
            registry = RegistryClient(chain, GENESIS_ADDRESS, sender=sender)
            await registry.check()
            await registry.register(reservation("alice"))
            assert await registry.lookup("alice") is not None


async def test_a_reorganisation_undoes_and_the_name_is_registered_again(
    node: Anvil, tmp_path: Path
) -> None:
    """A block goes away before it has its confirmations: the same name ends in one later block."""
    config = replace(FAST, confirmations=3)
    async with opened(node, tmp_path, config) as (chain, sender):
        async with asyncio.TaskGroup() as tasks:
            deploying = tasks.create_task(deploy(chain, sender))
            await reached(lambda: mined(node, 1), "the registry is in a block")
            node.mine(3)
        registry = deploying.result()
        steps: list[FollowStep] = []
        before = node.ask("evm_snapshot")
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(registry.register(reservation("alice")))
            await reached(
                lambda: bool(steps) and has_event(steps),
                "the event is read",
                work=lambda: read(registry, steps),
            )
            node.ask("evm_revert", before)  # the block is gone, and the transaction with it
            node.mine(2)
            await reached(
                lambda: any(isinstance(each, Undone) for each in steps),
                "the loss is seen",
                work=lambda: read(registry, steps),
            )
            await reached(lambda: sender.stats.undone > 0, "the sender sees it")
            await reached(
                lambda: bool(
                    node.ask(
                        "eth_getLogs",
                        {"address": str(registry.registry.address), "fromBlock": "0x0"},
                    )
                ),
                "sent again",
            )
            node.mine(3)
        entry = waiting.result()

        assert await registry.lookup("alice") == entry
        assert len(await registry.events(0)) == 1


async def read(registry: RegistryClient, steps: list[FollowStep]) -> None:
    """Follow the registry as far as it goes now, from where *steps* end."""
    places = []
    for step in steps:
        if isinstance(step, EventsRead):
            places.append(step.place)
        else:
            places = [place for place in places if place.number < step.from_block]
    async with asyncio.timeout(PATIENCE):
        async with aclosing(registry.follow(places=places)) as following:
            while (found := await soon(following)) is not None:
                steps.append(found)


async def soon(following: AsyncGenerator[FollowStep]) -> FollowStep | None:
    """Return the next step, if there is one already."""
    try:
        return await asyncio.wait_for(anext(following), 0.5)
    except TimeoutError:
        return None


def has_event(steps: list[FollowStep]) -> bool:
    """Whether any step has an event."""
    return any(isinstance(each, EventsRead) and each.events for each in steps)


def mined(node: Anvil, number: int) -> bool:
    """Whether the node has a block of this number."""
    return int(node.ask("eth_blockNumber"), 16) >= number


async def reached(
    look: Callable[[], bool], what: str, *, work: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Wait for a state, doing *work* meanwhile."""
    try:
        async with asyncio.timeout(PATIENCE / 2):
            while not look():
                if work is not None:
                    await work()
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not reached: {what}")


async def test_a_chain_that_dies_in_between_costs_nothing(tmp_path: Path) -> None:
    """Killed while transactions wait, started again: each name is registered exactly once."""
    require(Need.ANVIL)
    port, state = free_port(), tmp_path / "state.json"
    with Anvil(port=port, state=state) as node:
        async with opened(node, tmp_path) as (chain, sender):
            registry = await deploy(chain, sender)
            await registry.register(reservation("before"))
        node.stop()
    with Anvil(port=port, state=state, mines=False) as node:
        async with opened(node, tmp_path) as (chain, sender):
            registry = RegistryClient(chain, registry.registry.address, sender=sender)
            names = [f"name-{n}" for n in range(5)]
            async with asyncio.TaskGroup() as tasks:
                for name in names:
                    tasks.create_task(registry.register(reservation(name)))
                await reached(lambda: len(node.ask("txpool_content")["pending"]) > 0, "they wait")
                node.kill()  # what waits in its memory is gone
                await reached(lambda: any(each.problem for each in sender.pending()), "noticed")
                problems = [each.problem for each in sender.pending() if each.problem]
                assert isinstance(problems[0], ChainUnreachableError)
                node = Anvil(port=port, state=state)  # noqa: PLW2901 - the same, reborn
            with node:
                events = await registry.events(0)
                found = [each.name for each in events if isinstance(each, NameReserved)]
                assert sorted(found) == sorted(["before", *names])


async def test_a_sender_that_dies_goes_on(tmp_path: Path) -> None:
    """Stopped after handing in, opened again: it finds its transaction instead of a second."""
    require(Need.ANVIL)
    with Anvil(mines=False) as node:
        async with opened(node, tmp_path) as (chain, sender):
            deploying = asyncio.ensure_future(deploy(chain, sender))
            await reached(lambda: len(node.ask("txpool_content")["pending"]) > 0, "handed in")
            deploying.cancel()
        node.mine()
        async with opened(node, tmp_path) as (chain, sender):
            registry = await deploy(chain, sender)
            await registry.check()
            assert await chain.nonce(RICH.address) == 1
            assert sender.stats.submitted == 0


async def test_a_nonce_gap_closes(tmp_path: Path) -> None:
    """Another program used our key's next number: the intent takes a later one, once."""
    require(Need.ANVIL)
    with Anvil(mines=False) as node:
        config = replace(FAST, lost_blocks=2)
        async with opened(node, tmp_path, config) as (chain, sender):
            deploying = asyncio.ensure_future(deploy(chain, sender))
            await reached(lambda: len(node.ask("txpool_content")["pending"]) > 0, "handed in")
            (ours,) = node.ask("txpool_content")["pending"].values()
            node.ask("anvil_dropTransaction", ours["0"]["hash"])
            other = Transaction(CHAIN_ID, 0, Call(OWNER), 21_000, 10**11, 10**9).sign(RICH)
            await chain.send(other.raw)
            registry = await mining(node, deploying)
            await registry.check()
            assert sender.stats.overtaken == 1
            assert await chain.nonce(RICH.address) == 2


async def mining(node: Anvil, work: asyncio.Future[RegistryClient]) -> RegistryClient:
    """Make blocks until *work* is done."""
    async with asyncio.timeout(PATIENCE / 2):
        while not work.done():
            node.mine()
            await asyncio.sleep(0.05)
    return work.result()


async def test_what_is_stuck_becomes_dearer(tmp_path: Path) -> None:
    """In no block for some blocks, it is replaced by a form that offers more: one gets in."""
    require(Need.ANVIL)
    with Anvil(mines=False) as node:
        config = replace(FAST, replace_blocks=2)
        async with opened(node, tmp_path, config) as (chain, sender):
            deploying = asyncio.ensure_future(deploy(chain, sender))
            await reached(lambda: len(node.ask("txpool_content")["pending"]) > 0, "handed in")
            # Blocks without room for it: its gas limit is above theirs.
            node.ask("evm_setBlockGasLimit", hex(100_000))
            node.mine(3)
            await reached(lambda: sender.stats.replaced > 0, "it is replaced")
            node.ask("evm_setBlockGasLimit", hex(30_000_000))
            await (await mining(node, deploying)).check()
            assert await chain.nonce(RICH.address) == 1


async def test_an_empty_account_cannot_register(node: Anvil, tmp_path: Path) -> None:
    """Out of funds is said so, at once."""
    async with opened(node, tmp_path) as (chain, sender):
        registry = await deploy(chain, sender)
        poor = TransactionSender(chain, new_key(), tmp_path / "poor", FAST)
        async with poor:
            begging = RegistryClient(chain, registry.registry.address, sender=poor)
            with pytest.raises(OutOfFundsError):
                await begging.register(reservation("alice"))


async def test_another_chain_is_noticed(node: Anvil, tmp_path: Path) -> None:
    """Transactions of one chain are never sent to another."""
    async with opened(node, tmp_path) as (chain, sender):
        await deploy(chain, sender)
    node.ask("anvil_setChainId", 4242)
    with pytest.raises(WrongChainError) as wrong:
        async with opened(node, tmp_path):
            pass
    assert (wrong.value.expected, wrong.value.found) == (CHAIN_ID, 4242)


async def test_no_registry_is_said_so(node: Anvil) -> None:
    """An address without code, and one with other code."""
    async with RpcChain(node.url, QUICK) as chain:
        with pytest.raises(NotDeployedError):
            await RegistryClient(chain, GENESIS_ADDRESS).check()


async def test_no_node_is_said_so() -> None:
    """Nothing listens: ask again later."""
    async with RpcChain(f"http://{LOOPBACK}:{free_port()}", QUICK) as chain:
        with pytest.raises(ChainUnreachableError):
            await chain.block_number()
        health = await chain.health()
        assert not health.is_ok
