"""The name server and our client on a real Ethereum node, and fees that a user pays."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from shoal.cli.common import Exit
from shoal.crypto import generate_identity
from shoal.identity import AccountKeys, Archive, pack_archive
from shoal.names import NameClient, NameRecord
from shoal.names.errors import AccountNamedError, NameServerUnavailableError, NameTakenError
from shoal.sim import SeededEntropy
from tests.peers.anvil import RICH_KEY, Anvil
from tests.peers.name_server import MortalServer, NameServerProcess
from tests.peers.presence import Need, require
from tests.peers.waiting import until
from tests.unit.cli.conftest import shoal
from tests.unit.names.driver.http_client import reached
from tests.unit.names.people import record_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)  # processes by the dozen, on a machine with other work

ALICE = record_of("alice")
# Points of a registration at which the chain is killed: see tests/peers/names_worker.py.
POINTS = (1, 6, 7, 8, 12)


@pytest.fixture
def node() -> Iterator[Anvil]:
    """A node with an empty chain."""
    require(Need.ANVIL)
    with Anvil() as anvil:
        yield anvil


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    """A key whose account has coins."""
    path = tmp_path / "rich.key"
    path.write_text(RICH_KEY)
    return path


def deploy(url: str, key: Path) -> str:
    """Put a registry on the chain; return its address."""
    done = shoal(
        *("chain", "deploy", "--chain", url, "--key", str(key)), "--confirmations", "1", "--json"
    )
    assert done.status == Exit.OK, done.err
    return str(done.events[0]["registry"])


def archive_of(name: str, folder: Path) -> tuple[Path, AccountKeys]:
    """Make an account, and write its archive."""
    identity = generate_identity(name, bits=2048, entropy=SeededEntropy(5), wall_now=1.7e9)
    keys = AccountKeys(None, identity, b"\x03" * 32)
    path = folder / f"{name}.gz"
    path.write_bytes(pack_archive(Archive(keys)))
    return path, keys


def test_a_server_and_a_mirror(node: Anvil, rich: Path, tmp_path: Path) -> None:
    """Registered through one, found through both; refusals are those of the embedded chain."""
    chain = ("--chain", node.url, "--registry", deploy(node.url, rich))
    paying = ("--key", str(rich), "--confirmations", "1")

    async def work(url: str, mirror: str) -> None:
        async with NameClient(server=url) as client:
            assert await client.register_record(ALICE) == ALICE
            assert await client.register_record(ALICE) == ALICE
            with pytest.raises(NameTakenError):
                await client.register_record(record_of("bob", "alice"))
            with pytest.raises(AccountNamedError):
                await client.register_record(record_of("alice", "other"))
            await client.register_record(record_of("bob"))
            for server in (url, mirror):
                await reached(partial(is_found, client, server, "bob"), 60)
                assert (await client.lookup("alice", server=server)).account == ALICE.account
                assert (await client.reverse(ALICE.account, server=server)).name == "alice"

    with (
        NameServerProcess(tmp_path / "server", *chain, *paying) as server,
        NameServerProcess(tmp_path / "mirror", *chain, "--read-only") as mirror,
    ):
        assert server.started["chain_id"] == 31337
        asyncio.run(work(server.url, mirror.url))
        assert server.end() == 0
        assert mirror.end() == 0


async def is_found(client: NameClient, server: str, name: str) -> bool:
    """Tell whether a server has a name, and is there."""
    try:
        progress = await client.progress(name, server=server)
        return progress.get("state") == "registered"  # a server without its chain says an error
    except NameServerUnavailableError:
        return False


def test_who_pays_for_themselves(node: Anvil, rich: Path, tmp_path: Path) -> None:
    """With --chain and --key no server takes part; every server that reads the chain has it."""
    registry = deploy(node.url, rich)
    chain = ("--chain", node.url, "--registry", registry)
    archive, keys = archive_of("carol", tmp_path)
    register = ("name", "register", "carol", "--archive", str(archive), "--key", str(rich), *chain)

    with mining(node):
        done = shoal(*register, "--json")
        assert done.status == Exit.OK, done.err
        assert done.events[0]["addr"] == str(keys.id)
        sent = node.ask("eth_getTransactionCount", done.events[0]["owner"], "latest")
        assert shoal(*register, "--json").events == done.events
        assert node.ask("eth_getTransactionCount", done.events[0]["owner"], "latest") == sent
    assert shoal("name", "lookup", "carol", *chain).out == f"{keys.id}\n"
    assert shoal("name", "reverse", str(keys.id), *chain).out == "carol\n"
    assert shoal("name", "lookup", "nobody", *chain).status == Exit.FAILED
    with NameServerProcess(tmp_path / "mirror", *chain, "--read-only") as mirror:
        found = shoal("name", "lookup", "carol", "--server", mirror.url)
        assert found.out == f"{keys.id}\n"


@contextlib.contextmanager
def mining(node: Anvil) -> Iterator[None]:
    """Make blocks as time passes, which an idle node does not."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.2):
            node.mine()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_the_chain_is_killed(rich: Path, tmp_path: Path) -> None:
    """At points of a registration; it starts again a second of blocks poorer, and all is well."""
    require(Need.ANVIL)
    state = tmp_path / "state.json"
    node = Anvil(state=state)
    registry = deploy(node.url, rich)
    until(lambda: state.exists() and registry[2:].lower() in state.read_text(), "a saved chain")
    promised: list[NameRecord] = []
    try:
        for point in POINTS:
            record = record_of(f"chain-killed-{point}")
            with MortalServer(
                tmp_path / "server",
                chain=node.url,
                point=point,
                registry=registry,
                key=str(rich),
                victim=node.process.pid,
            ) as server:
                kept = until(lambda: whole(state), "a saved chain")
                server.arm()
                asyncio.run(attempt(server.url, record))
                until(lambda node=node: not node.process.is_running, "the chain's end")  # type: ignore[misc]
                node.kill()
                if not whole(state):  # killed while it wrote, which it does in place
                    state.write_text(kept)
                node = Anvil(port=node.port, state=state)
                promised.append(record)
                # It may have kept what a transaction did, and not that there was one: then its
                # server waits for blocks.
                with mining(node):
                    asyncio.run(judge(server.url, promised))
    finally:
        node.kill()


def whole(state: Path) -> str:
    """Return the chain in a file; nothing while it is being written."""
    text = state.read_text()
    try:
        json.loads(text)
    except ValueError:
        return ""
    return text


async def attempt(url: str, record: NameRecord) -> bool:
    """Register; return whether the server said that it is done."""
    async with NameClient(server=url) as client:
        try:
            await client.register_record(record)
        except NameServerUnavailableError:
            return False
    return True


async def judge(url: str, records: list[NameRecord]) -> None:
    """Every registration ends well, those too that the chain had and lost; asking again is fine."""
    async with NameClient(server=url) as client:

        async def is_well(record: NameRecord) -> bool:
            return await is_found(client, url, record.name) and await attempt(url, record)

        for record in records:
            await reached(partial(is_well, record), 90)
            found = await client.lookup(record.name, is_fresh=True)
            assert found == record.with_owner(None)
