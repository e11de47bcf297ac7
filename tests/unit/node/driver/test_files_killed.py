"""A node that is killed while it fetches a file goes on where it was."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shoal.node import Node, NodeConfig
from shoal.node.config import DhtSettings, NetSettings
from shoal.node.events import TransferChanged
from shoal.swarm import FileOffer
from shoal.transfer.effects import Direction
from tests.unit.node.driver.conftest import (
    NETWORK,
    PATIENCE,
    add_account,
    archive_of,
    eventually,
)
from tests.unit.node.driver.test_files import write
from tests.unit.node.people import BITS, device

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shoal.node import Account

SIZE: Final = 48 * 1024 * 1024  # bytes
FAR_ENOUGH: Final = 8 * 1024 * 1024  # bytes after which it is killed


async def receive(home: Path, port: int, folder: Path, *, dies: bool) -> None:
    """Be Bob's node: agree, fetch what is offered, and die in the middle, or live."""
    config = NodeConfig(
        dht=DhtSettings(bootstrap=(f"127.0.0.1:{port}",), network=NETWORK, bind=("127.0.0.1",)),
        net=NetSettings(turn=(), upnp=False, loopback=True, ipv6=False),
    )
    async with Node(home, config=config) as node:
        with node.events() as events:
            if dies:
                archive = home.with_suffix(".gz").read_bytes()
                bob = await node.accounts.import_archive(archive, key_bits=BITS)
                await begin(bob, folder)
            async for numbered in events:
                event = getattr(numbered, "event", None)
                if not isinstance(event, TransferChanged):
                    continue
                transfer = event.transfer
                print(transfer.state.value, transfer.done, flush=True)  # noqa: T201 - the parent reads
                if dies and transfer.done > FAR_ENOUGH:
                    os.kill(os.getpid(), signal.SIGKILL)
                if transfer.is_over:
                    (bob,) = node.accounts
                    print("received", bob.files.engine.stats.bytes_received)  # noqa: T201 - as above
                    return


async def begin(bob: Account, folder: Path) -> None:
    """Agree to be a contact, and begin to fetch what is offered."""
    await eventually(lambda: bool(bob.contacts.requests()))
    (request,) = bob.contacts.requests()
    await bob.contacts.accept(request.id)
    await eventually(lambda: any(each.is_ready for each in bob.conversations.list()))
    (conversation,) = bob.conversations.list()
    while True:
        for message in await conversation.messages():
            if isinstance(message.content, FileOffer):
                await conversation.download(message, folder=folder)
                return
        await asyncio.sleep(0.05)


async def test_killed_while_it_fetches(
    open_node: Callable[..., Awaitable[Node]], tmp_path: Path
) -> None:
    """What came before `kill -9` does not come again, and the file is whole in the end."""
    first = await open_node()
    alice = await add_account(first, "alice")
    await add_account(await open_node(first), "carol")  # who is alone has nobody to announce to
    await alice.wait_announced(PATIENCE)
    source = write(tmp_path / "film.bin", SIZE)
    folder = tmp_path / "bob's files"
    port = first.dht_nodes[0].port

    async def child(*, dies: bool) -> asyncio.subprocess.Process:
        arguments = (str(tmp_path / "bob"), str(port), str(folder), "dies" if dies else "lives")
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.unit.node.driver.test_files_killed", *arguments),
            stdout=asyncio.subprocess.PIPE,
        )

    (tmp_path / "bob.gz").write_bytes(archive_of("bob"))  # keys are another process's else
    victim = await child(dies=True)
    await alice.contacts.add(device("bob").chain.account)
    (conversation,) = alice.conversations.list()
    await conversation.send_file(source)
    output, _ = await asyncio.wait_for(victim.communicate(), PATIENCE)
    assert victim.returncode == -signal.SIGKILL
    kept = int(output.split()[-1])
    assert FAR_ENOUGH < kept < SIZE
    (part,) = folder.iterdir()
    assert part.name.endswith(".part")
    size_of_part = part.stat().st_size
    assert size_of_part > 0

    output, _ = await asyncio.wait_for((await child(dies=False)).communicate(), PATIENCE)
    lines = output.decode().splitlines()
    assert f"done {SIZE}" in lines
    assert lines[-1] == f"received {SIZE - size_of_part}"
    assert [path.name for path in folder.iterdir()] == ["film.bin"]
    assert (folder / "film.bin").read_bytes() == source.read_bytes()
    assert not [each for each in alice.transfers.list() if each.direction is Direction.DOWN]


if __name__ == "__main__":
    asyncio.run(
        receive(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), dies=sys.argv[4] == "dies")
    )
