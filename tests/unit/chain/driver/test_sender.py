"""Sending for real: exactly once, on the embedded chain, across stops and kills."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.chain.addresses import ChainAddress
from shoal.chain.config import EMBEDDED_CONFIG
from shoal.chain.driver import (
    EmbeddedChain,
    EventsRead,
    RegistryClient,
    TransactionSender,
    load_or_create_key,
    new_key,
)
from shoal.chain.driver import sender as sender_module
from shoal.chain.errors import (
    ChainBusyError,
    ChainClosedError,
    ChainFileError,
    ChainUnreachableError,
    NotDeployedError,
    OutOfFundsError,
    Refusal,
    RegistryRefusedError,
    RevertedError,
    WrongChainError,
)
from shoal.chain.keys import ChainKey
from shoal.chain.registry import NameReleased, NameReserved, NameTransferred, Reservation
from shoal.chain.values import Call
from shoal.core import AccountId

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("pyrevm", reason="the embedded chain's virtual machine is not installed")

KEY = ChainKey(bytes(31) + b"\7")
OWNER = ChainAddress(bytes([7]) * 20)


def reservation(name: str, owner: ChainAddress | None = OWNER) -> Reservation:
    """A name for an account of its own."""
    return Reservation(name, AccountId(name.encode().rjust(20, b".")), b"key", b"signature", owner)


async def until(look: Callable[[], bool]) -> None:
    """Wait for a state."""
    while not look():  # noqa: ASYNC110 - what other tasks do has no event of its own
        await asyncio.sleep(0.001)


async def test_names_from_registration_to_release(tmp_path: Path) -> None:
    """Everything that a client does, and what readers see of it."""
    async with EmbeddedChain(tmp_path / "chain") as chain:
        await chain.fund(KEY.address)
        async with TransactionSender(chain, KEY, tmp_path / "file") as sender:
            registry = RegistryClient(chain, sender=sender)
            await registry.check()
            entry = await registry.register(reservation("alice", owner=None))
            assert await registry.register(reservation("alice", owner=None)) == entry
            assert await registry.lookup("alice") == entry
            assert await registry.lookup("NO NAME") is None
            assert await registry.reverse(entry.account) == "alice"
            assert await registry.reverse(AccountId(bytes([3]) * 20)) is None
            with pytest.raises(RegistryRefusedError) as taken:
                await registry.register(reservation("alice"))
            assert taken.value.refusal is Refusal.NAME_TAKEN
            with pytest.raises(RegistryRefusedError) as named:
                await registry.register(replace(reservation("alice"), name="alice2"))
            assert named.value.refusal is Refusal.ACCOUNT_HAS_NAME
            await registry.transfer("alice", OWNER)
            assert (await registry.lookup("alice")) == replace(entry, owner=OWNER)
            with pytest.raises(RegistryRefusedError, match="not the owner"):
                await registry.release("alice")
            await registry.register(reservation("bob", owner=None))
            await registry.release("bob")
            assert await registry.lookup("bob") is None
            kinds = [type(each) for each in await registry.events(0)]
            assert kinds == [NameReserved, NameTransferred, NameReserved, NameReleased]
            assert sender.stats.confirmed == 4
            assert sender.pending() == []
            assert await chain.nonce(KEY.address) == 4  # refusals cost nothing


async def test_many_at_once(tmp_path: Path) -> None:
    """Nonces are given in order, and all are registered."""
    async with EmbeddedChain(tmp_path / "chain") as chain:
        await chain.fund(KEY.address)
        async with TransactionSender(chain, KEY, tmp_path / "file") as sender:
            registry = RegistryClient(chain, sender=sender)
            names = [f"name-{number}" for number in range(40)]
            work = (registry.register(reservation(name)) for name in names * 2)
            entries = await asyncio.gather(*work)
            assert sorted({entry.name for entry in entries}) == sorted(names)
            assert await chain.nonce(KEY.address) == 40


async def test_following(tmp_path: Path) -> None:
    """Events as they come, and from a remembered place on."""
    async with EmbeddedChain(tmp_path / "chain") as chain:
        await chain.fund(KEY.address)
        async with TransactionSender(chain, KEY, tmp_path / "file") as sender:
            registry = RegistryClient(chain, sender=sender)
            following = registry.follow()
            first = await anext(following)
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(anext(following))
                await registry.register(reservation("alice"))
            second = waiting.result()
            await following.aclose()
            assert isinstance(first, EventsRead)
            assert isinstance(second, EventsRead)
            assert first.events == ()
            assert [event.name for event in second.events] == ["alice"]
            await registry.register(reservation("bob"))
            going_on = registry.follow(places=[first.place, second.place])
            third = await anext(going_on)
            await going_on.aclose()
            assert isinstance(third, EventsRead)
            assert [event.name for event in third.events] == ["bob"]


async def test_who_stops_waiting_stops_nothing(tmp_path: Path) -> None:
    """A cancelled caller finds it done later; a refusal reaches every caller."""
    async with EmbeddedChain(tmp_path / "chain") as chain:
        await chain.fund(KEY.address)
        async with TransactionSender(chain, KEY, tmp_path / "file") as sender:
            registry = RegistryClient(chain, sender=sender)
            task = asyncio.ensure_future(registry.register(reservation("alice")))
            await asyncio.sleep(0)
            await until(lambda: bool(sender.pending()))
            task.cancel()
            entry = await registry.register(reservation("alice"))
            assert await registry.lookup("alice") == entry
            bad = Call(registry.registry.address, b"nonsense")
            results = await asyncio.gather(
                *(sender.submit("bad", bad) for _ in range(3)), return_exceptions=True
            )
            assert [type(each) for each in results] == [RevertedError] * 3


class Away:
    """A chain that is away for some calls."""

    def __init__(self, chain: EmbeddedChain, *methods: str) -> None:
        self.chain = chain
        self.methods = set(methods)

    def __getattr__(self, name: str) -> Any:
        if name in self.methods:
            return self.gone
        return getattr(self.chain, name)

    async def gone(self, *_: Any, **__: Any) -> Any:
        raise ChainUnreachableError("away")


@pytest.mark.parametrize("method", ["estimate_gas", "view", "send", "call", "chain_id"])
async def test_a_chain_that_is_away_loses_nothing(tmp_path: Path, method: str) -> None:
    """Registration waits, says what for, and ends well when the chain is back."""
    async with EmbeddedChain(tmp_path / "chain") as chain:
        await chain.fund(KEY.address)
        away = Away(chain)
        config = replace(EMBEDDED_CONFIG, poll_interval=0.01, retry_interval=0.01)
        async with TransactionSender(away, KEY, tmp_path / "file", config):
            pass
        away.methods = {method}
        async with TransactionSender(away, KEY, tmp_path / "file", config) as sender:
            registry = RegistryClient(away, sender=sender)
            task = asyncio.ensure_future(registry.register(reservation("alice")))
            await until(lambda: task.done() or any(each.problem for each in sender.pending()))
            if method in {"estimate_gas", "view", "send"}:
                assert isinstance(sender.pending()[0].problem, ChainUnreachableError)
            away.methods.clear()
            entry = await task
            assert await registry.lookup("alice") == entry
            assert await chain.nonce(KEY.address) == 1


async def test_what_does_not_fit_together(tmp_path: Path) -> None:
    """A file of another chain, of another key, in use, or no database."""
    async with EmbeddedChain(tmp_path / "chain") as chain, EmbeddedChain(tmp_path / "b") as other:
        path = tmp_path / "file"
        async with TransactionSender(chain, KEY, path):
            with pytest.raises(ChainBusyError):
                await TransactionSender(chain, KEY, path).open()
        with pytest.raises(WrongChainError):
            await TransactionSender(other, KEY, path).open()
        with pytest.raises(ChainFileError, match="account"):
            await TransactionSender(chain, new_key(), path).open()
        path.write_bytes(b"no database" * 100)
        with pytest.raises(ChainFileError):
            await TransactionSender(chain, KEY, path).open()
        gone = TransactionSender(Away(chain, "chain_id"), KEY, tmp_path / "new")
        with pytest.raises(ChainUnreachableError):  # a new file takes the chain's word
            await gone.open()


async def test_poor_and_lost(tmp_path: Path) -> None:
    """No money; no registry; a sender that is closed while one waits."""
    async with EmbeddedChain(tmp_path / "chain") as chain:
        async with TransactionSender(chain, KEY, tmp_path / "file") as sender:
            registry = RegistryClient(chain, sender=sender)
            with pytest.raises(OutOfFundsError):
                await registry.register(reservation("alice"))
            nowhere = RegistryClient(chain, OWNER)
            with pytest.raises(NotDeployedError):
                await nowhere.check()
            with pytest.raises(NotDeployedError):
                await nowhere.record("alice")
            with pytest.raises(NotDeployedError):
                await nowhere.reverse(AccountId(bytes([3]) * 20))
        away = Away(chain, "estimate_gas")
        sender = TransactionSender(away, KEY, tmp_path / "other")
        async with sender:
            waiting = asyncio.ensure_future(sender.submit("a", Call(OWNER)))
            await until(lambda: any(each.problem for each in sender.pending()))
        with pytest.raises(ChainClosedError):
            await waiting
        with pytest.raises(ChainClosedError):
            await sender.submit("a", Call(OWNER))


async def test_a_disk_that_fails_is_said_to_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is handed in that is not on disk."""
    async with EmbeddedChain(tmp_path / "chain") as chain:
        await chain.fund(KEY.address)

        def full(*_: object) -> None:
            raise ChainFileError("disk full")

        async with TransactionSender(chain, KEY, tmp_path / "file") as sender:
            monkeypatch.setattr(sender_module._IntentFile, "save", full)  # noqa: SLF001
            with pytest.raises(ChainFileError, match="disk full"):
                await sender.submit("a", Call(OWNER))
            monkeypatch.undo()
        assert await chain.nonce(KEY.address) == 0


WORKER = """
import asyncio, sys
from pathlib import Path
from shoal.chain import ChainAddress, Reservation
from shoal.chain.driver import EmbeddedChain, RegistryClient, TransactionSender, load_or_create_key
from shoal.core import AccountId

async def main():
    folder = Path(sys.argv[1])
    key = load_or_create_key(folder / "key")
    async with EmbeddedChain(folder / "chain") as chain:
        await chain.fund(key.address)
        async with TransactionSender(chain, key, folder / "file") as sender:
            registry = RegistryClient(chain, sender=sender)
            for number in range(6):
                name = f"name-{number}"
                account = AccountId(name.encode().rjust(20, b"."))
                print("asking", name, flush=True)
                await registry.register(Reservation(name, account, b"key", b"signature"))
                print("done", name, flush=True)
    print("end", flush=True)

asyncio.run(main())
"""


@pytest.mark.timeout(300)
@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 30)), max_size=3))
@settings(max_examples=4)
def test_kill_9_at_any_step(
    tmp_path_factory: pytest.TempPathFactory, lives: list[tuple[int, int]]
) -> None:
    """Killed at any time of any registration, started again: each name once, none paid twice."""
    folder = tmp_path_factory.mktemp("sender")
    for lines, milliseconds in [*lives, (100, 0)]:
        with subprocess.Popen(  # noqa: S603 - our own text
            [sys.executable, "-c", WORKER, str(folder)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            last = ""
            for _ in range(lines):
                last = child.stdout.readline().strip() or last
                if last == "end":
                    break
            try:  # somewhere in the middle of what follows
                child.wait(milliseconds / 1000)
            except subprocess.TimeoutExpired:
                os.kill(child.pid, signal.SIGKILL)
    assert last == "end"

    async def look() -> None:
        key = load_or_create_key(folder / "key")
        async with EmbeddedChain(folder / "chain") as chain:
            events = await RegistryClient(chain).events(0)
            assert [event.name for event in events] == [f"name-{number}" for number in range(6)]
            assert await chain.nonce(key.address) == 6

    asyncio.run(look())
