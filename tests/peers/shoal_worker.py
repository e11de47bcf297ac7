"""A `DhtNode` in a process of its own; run with `python -m`."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shoal.core import Family, InfoHash, PublicKeyId
from shoal.core.driver import SystemEntropy
from shoal.crypto import generate_identity
from shoal.dht import DhtConfig, DhtNode, Expired, Lagged, Value
from shoal.dht.driver.pht import Pht
from shoal.dht.errors import DhtError, NotConnectedError
from shoal.dht.pht.entry import IndexValue
from tests.peers.worker import answerer, commands, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.crypto import Identity

Facts = dict[str, Any]


def facts_of(value: Value) -> Facts:
    """Return a value as the harness shows it."""
    return {
        "id": value.id,
        "data": value.data.hex(),
        "user_type": value.user_type,
        "seq": value.seq if value.is_signed else None,
        "owner": None if value.owner_id is None else value.owner_id.hex(),
        "is_encrypted": value.is_encrypted,
        "type": value.type,
    }


class Worker:
    """Carries out commands on one node."""

    def __init__(self) -> None:
        self.node: DhtNode
        self.identity: Identity | None = None
        self._indexes: dict[str, asyncio.Future[Pht]] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._listens: dict[int, asyncio.Task[None]] = {}
        self.is_closing = asyncio.Event()

    async def start(self, order: Facts, answer: Callable[..., None]) -> None:
        """Open the node."""
        if order["is_verbose"]:
            logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
        if order["has_identity"]:
            self.identity = generate_identity(
                "peer", bits=2048, entropy=SystemEntropy(), wall_now=time.time()
            )
        config = DhtConfig(**order.get("config", {}))
        if order["is_unlimited"]:
            config = replace(config, rate_limit_total=-1, rate_limit_per_address=-1)
        self.node = DhtNode(
            port=order["port"],
            bootstrap=[order["bootstrap"]] if order["bootstrap"] else None,
            network=order["network"],
            identity=self.identity,
            state=order["state_path"],
            has_discovery=order["has_discovery"],
            config=config,
        )
        await self.node.start()
        bound = self.node.bound
        answer(
            node_id=self.node.node_id.hex(),
            port=bound[Family.IPV4].port,
            port6=bound[Family.IPV6].port if Family.IPV6 in bound else None,
            key_id=self.identity.id.hex() if self.identity else None,
            long_id=self.identity.long_id.hex() if self.identity else None,
        )

    async def bootstrap(self, order: Facts, answer: Callable[..., None]) -> None:
        """Add a way into the network."""
        await self.node.bootstrap([(order["host"], int(order["port"]))])
        answer()

    async def put(self, order: Facts, answer: Callable[..., None]) -> None:
        """Put, sign and put, or encrypt and put."""
        value = Value(
            data=bytes.fromhex(order["data"]),
            id=order["value_id"],
            type=order.get("type", 0),
            user_type=order["user_type"],
        )
        key = InfoHash.from_hex(order["key"])
        permanent = order["permanent"]
        try:
            match order["how"]:
                case "signed":
                    result = await self.node.put_signed(key, value, permanent=permanent)
                case "encrypted":
                    to = bytes.fromhex(order["to"])
                    name = PublicKeyId(to) if len(to) == PublicKeyId.length else InfoHash(to)
                    result = await self.node.put_encrypted(key, value, name, permanent=permanent)
                case _:
                    result = await self.node.put(
                        key, value, permanent=permanent, created=order.get("created")
                    )
        except DhtError as error:
            answer(done=False, id=0, why=f"{type(error).__name__}: {error}")
        else:
            answer(done=not result.is_only_here, id=result.value_id, nodes=result.nodes)

    async def cancel_put(self, order: Facts, answer: Callable[..., None]) -> None:
        """Stop announcing."""
        self.node.cancel_put(InfoHash.from_hex(order["key"]), order["value_id"])
        answer()

    async def get(self, order: Facts, answer: Callable[..., None]) -> None:
        """Get every value; `done` is false when no node could be asked."""
        found: list[Facts] = []
        try:
            key = InfoHash.from_hex(order["key"])
            async for value in self.node.get(key, where=order["where"] or ()):
                found.append(facts_of(value))  # noqa: PERF401 - what came before a failure stays
        except NotConnectedError:
            answer(done=False, values=found)
        else:
            answer(done=True, values=found)

    async def query(self, order: Facts, answer: Callable[..., None]) -> None:
        """Query fields."""
        rows = await self.node.query(InfoHash.from_hex(order["key"]), order["text"])
        answer(rows=[{"id": row.id, "seq": row.seq, "user_type": row.user_type} for row in rows])

    async def listen(self, order: Facts, answer: Callable[..., None]) -> None:
        """Listen until cancelled."""
        op = order["op"]
        events = self.node.listen(InfoHash.from_hex(order["key"]))

        async def tell() -> None:
            async for event in events:
                if isinstance(event, Lagged):
                    raise TypeError("the harness reads fast enough")
                is_expired = isinstance(event, Expired)
                facts = facts_of(event.value)
                say({"op": op, "event": "heard", "value": facts, "is_expired": is_expired})

        self._listens[op] = asyncio.ensure_future(tell())
        answer()

    async def cancel(self, order: Facts, answer: Callable[..., None]) -> None:
        """Cancel a listen."""
        self._listens.pop(order["listen"]).cancel()
        answer()

    async def find_certificate(self, order: Facts, answer: Callable[..., None]) -> None:
        """Find a certificate by either id."""
        name = bytes.fromhex(order["id"])
        long = len(name) == PublicKeyId.length
        found = await self.node.find_certificate(PublicKeyId(name) if long else InfoHash(name))
        answer(key_id=found.id.hex(), long_id=found.long_id.hex())

    async def index_insert(self, order: Facts, answer: Callable[..., None]) -> None:
        """Insert an entry into an index."""
        target = IndexValue(InfoHash.from_hex(order["target"]), order["value_id"])
        await (await self._index(order)).insert(_contents(order), target)
        answer(done=True)

    async def index_lookup(self, order: Facts, answer: Callable[..., None]) -> None:
        """Look an entry up."""
        found = await (await self._index(order)).lookup(_contents(order))
        entries = [{"target": value.key.hex(), "value_id": value.value_id} for value in found]
        answer(done=True, entries=entries)

    async def _index(self, order: Facts) -> Pht:
        """Return the index of that name, opened at its first use and kept open to the end."""
        if order["name"] not in self._indexes:
            opened: asyncio.Future[Pht] = asyncio.get_running_loop().create_future()

            async def keep_open() -> None:
                async with Pht(self.node, order["name"], order["spec"]) as index:
                    opened.set_result(index)
                    await self.is_closing.wait()

            self._keepers.append(asyncio.ensure_future(keep_open()))
            self._indexes[order["name"]] = opened
        return await self._indexes[order["name"]]

    async def stats(self, order: Facts, answer: Callable[..., None]) -> None:
        """Show the node's statistics."""
        stats = self.node.stats()
        good = sum(family.good for family in stats.families.values())
        answer(good=good, status=stats.status.value, stats=stats.to_json())

    async def change_connectivity(self, order: Facts, answer: Callable[..., None]) -> None:
        """Tell the node that the network changed."""
        self.node.connectivity_changed()
        answer()

    async def close(self, order: Facts, answer: Callable[..., None]) -> None:
        """Close the node."""
        for task in self._listens.values():
            task.cancel()
        await self.node.close()
        answer()
        self.is_closing.set()


def _contents(order: Facts) -> dict[str, bytes]:
    return {name: bytes.fromhex(content) for name, content in order["fields"].items()}


async def serve() -> None:
    """Carry out commands as they come, each in a task of its own."""
    worker = Worker()
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def carry_out(order: Facts) -> None:
        answer = answerer(order["op"])
        try:
            await getattr(worker, order["do"])(order, answer)
        except Exception as error:  # noqa: BLE001 - whatever is raised is the answer
            answer(ok=False, error=f"{type(error).__name__}: {error}")

    def begin(order: Facts) -> None:
        task = asyncio.ensure_future(carry_out(order))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def read() -> None:
        for order in commands():
            loop.call_soon_threadsafe(begin, order)
        loop.call_soon_threadsafe(worker.is_closing.set)

    threading.Thread(target=read, daemon=True).start()
    await worker.is_closing.wait()


if __name__ == "__main__":
    asyncio.run(serve())
