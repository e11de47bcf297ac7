"""Jami of both generations, unmodified, with our name server; and our client beside them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from shoal.chain import ChainAddress
from shoal.crypto import PrivateKey
from shoal.names import NameClient
from tests.peers.name_server import NameServerProcess
from tests.peers.netns import visit
from tests.peers.presence import Need, require
from tests.peers.town import GENERATIONS, NEW, OLD, Town

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from tests.peers.jami import JamiDaemon

_T = TypeVar("_T")

pytestmark = pytest.mark.timeout(600)  # accounts by the half dozen, each with keys of 4,096 bits

FOUND = SUCCESS = 0
NOT_FOUND = 2  # of a lookup
OWNER = ChainAddress(b"an owner on a chain!")
# Of a registration. 13.7 knows the rules of names; 2026 leaves them to the server, and reports its
# 400, and 401, as a network error. Once it has asked for an account, 2026 asks for no other name of
# it until it is restarted: its list of registrations under way is never cleared.
RESULTS = {
    OLD: {"invalid": 2, "taken": 3, "second name": 3, "network": 4},
    NEW: {"invalid": 4, "taken": 3, "second name": 4, "network": 4},
}
NEEDS = {OLD: Need.JAMID, NEW: Need.LIBJAMI}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A network of our own."""
    with Town(tmp_path) as made:
        yield made


class Directory:
    """A name server on a host of the town, and our client there."""

    def __init__(self, town: Town, folder: Path, *options: str) -> None:
        self.host = town.bench.add_host()
        self.server = town.keep(NameServerProcess(folder, *options, namespace=self.host))
        self._town = town

    def account(self, kind: str) -> tuple[JamiDaemon, str]:
        """Start a daemon of a generation with an account that uses the server."""
        daemon = self._town.jami(kind)
        account = daemon.add_account(self._town.bootstrap, RingNS_uri=self.server.url)
        daemon.wait_registered(account, 90.0)
        return daemon, account

    def ask(self, work: Callable[[NameClient], Coroutine[Any, Any, _T]]) -> _T:
        """Run *work* with our client."""

        async def run() -> _T:
            async with NameClient(server=self.server.url) as client:
                return await work(client)

        with visit(self.host):
            return asyncio.run(run())


def test_each_resolves_the_others_name(town: Town, tmp_path: Path) -> None:
    """13.7 and 2026 register; each finds the other by name and by id; so does Shoal, checking."""
    require(Need.JAMID, Need.LIBJAMI)
    names = Directory(town, tmp_path / "names")
    wanted = {OLD: "Old-Alice", NEW: "new_bob"}
    people = {kind: names.account(kind) for kind in wanted}
    for kind, (daemon, account) in people.items():
        assert daemon.register_name(account, wanted[kind]) == SUCCESS

    ids = {kind: daemon.uri(account) for kind, (daemon, account) in people.items()}
    for kind, other in ((OLD, NEW), (NEW, OLD)):
        daemon, account = people[kind]
        assert daemon.look_up_name(account, wanted[other]) == (FOUND, ids[other])
        assert daemon.look_up_address(account, ids[other]) == (FOUND, wanted[other].lower())
        assert daemon.look_up_name(account, "nobody-at-all")[0] == NOT_FOUND

    async def resolve(client: NameClient) -> None:
        for kind, name in wanted.items():
            record = await client.lookup(name)
            assert (record.name, str(record.account)) == (name.lower(), ids[kind])
            assert record.is_signed  # and checked: the account itself claims the name
            back = await client.reverse(record.account, is_fresh=True)
            assert back == record

    names.ask(resolve)


@pytest.mark.parametrize("kind", GENERATIONS)
def test_refusals_are_understood(town: Town, tmp_path: Path, kind: str) -> None:
    """A taken name, a bad name, a second name for an account; a repetition is none."""
    require(NEEDS[kind])
    names = Directory(town, tmp_path / "names")
    results = RESULTS[kind]
    key = PrivateKey.generate(2048)
    names.ask(lambda client: client.register("harbour", key.public_key, key.sign, OWNER))
    daemon, account = names.account(kind)

    assert daemon.look_up_name(account, "harbour") == (FOUND, str(key.public_key.id))
    assert daemon.register_name(account, "x") == results["invalid"]
    daemon, account = names.account(kind)
    assert daemon.register_name(account, "harbour") == results["taken"]
    daemon, account = names.account(kind)
    assert daemon.register_name(account, "mine") == SUCCESS
    assert daemon.register_name(account, "mine") == SUCCESS
    assert daemon.register_name(account, "mine-too") == results["second name"]


@pytest.mark.parametrize("kind", GENERATIONS)
def test_a_mirror_is_a_network_error(town: Town, tmp_path: Path, kind: str) -> None:
    """Not "taken", which a person would believe."""
    require(NEEDS[kind])
    names = Directory(town, tmp_path / "names", "--read-only")
    daemon, account = names.account(kind)

    assert daemon.register_name(account, "harbour") == RESULTS[kind]["network"]
    assert daemon.look_up_name(account, "harbour")[0] == NOT_FOUND
