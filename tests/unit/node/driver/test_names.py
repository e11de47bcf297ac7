"""Names of accounts, and people called by them: with a name server that is real, away, or lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shoal.identity.errors import ArchivePasswordError
from shoal.names.errors import (
    AddressFormatError,
    NameNotFoundError,
    NameServerUnavailableError,
    NameTakenError,
    WrongKeyError,
)
from shoal.node.config import AccountSettings, NamesSettings
from shoal.node.driver import names as module
from shoal.node.driver.names import SharedNames
from shoal.node.errors import ConfigError, NamesMissingError, UnknownNameError
from shoal.node.events import AccountNamed
from tests.unit.names.driver.conftest import chain, serve
from tests.unit.names.driver.test_client import OddServer, odd
from tests.unit.names.fake_chain import FakeChain
from tests.unit.names.people import forged, record_of
from tests.unit.node.driver.conftest import (
    add_account,
    archive_of,
    eventually,
    loopback,
)
from tests.unit.node.driver.test_node import wait_for
from tests.unit.node.people import BITS, device

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shoal.node import Node, NodeConfig
    from tests.unit.names.driver.conftest import Serve

    OpenNode = Callable[..., Awaitable[Node]]

__all__ = ["chain", "odd", "serve"]

PASSWORD = "correct horse"  # noqa: S105 - of a test
AWAY = "http://127.0.0.1:9"
DEVICE = "ab" * 32


def asking(server: str, peer: Node | None = None, **names: bool) -> NodeConfig:
    """Settings of a node whose accounts ask *server*."""
    return loopback(peer, names=NamesSettings(server, **names))


async def test_people_are_called_by_name(open_node: OpenNode, serve: Serve) -> None:
    """Alice registers; Bob adds her, and reaches for her, by name, address and id."""
    server = await serve()
    first = await open_node(config=asking(server.url))
    alice = await add_account(first, "alice")
    with first.events() as told:
        record = await alice.names.register("Alice")
        assert await wait_for(told, AccountNamed) == AccountNamed(alice.id, "alice")
    assert (record.name, record.account, alice.names.own) == ("alice", alice.id, "alice")
    assert await alice.names.register("alice") == record, "repeating it is harmless"

    second = await open_node(config=asking(server.url, first))
    bob = await add_account(second, "bob")
    with pytest.raises(NameTakenError):
        await bob.names.register("alice")
    assert bob.names.own == ""
    assert (await bob.names.lookup("ALICE")).account == alice.id
    assert (await bob.names.reverse(alice.id)).name == "alice"
    assert (await bob.names.status())["status"] == "ok"
    assert (await bob.names.status("alice"))["state"] == "registered"
    for who in ("alice", " Alice ", "jami:alice", f"alice@{server.url}", f"jami:{alice.id}"):
        assert await bob.names.find_account(who) == alice.id
        assert await bob.names.find_target(who) == alice.id
    assert (await bob.contacts.add("alice")).id == alice.id
    assert alice.id in bob.contacts
    await bob.contacts.remove("alice")
    assert alice.id not in bob.contacts
    with pytest.raises(NameNotFoundError, match="nobody has the name carol"):
        await bob.contacts.add("carol")
    with pytest.raises(NameNotFoundError):
        await bob.connect("carol", "sip")


async def test_an_account_learns_its_name(open_node: OpenNode, serve: Serve) -> None:
    """On a new device, or after a restart; and that it has none where it has none."""
    server = await serve()
    node = await open_node(config=asking(server.url))
    await (await add_account(node, "alice")).names.register("alice")

    other = await open_node(config=asking(server.url))
    with other.events() as told:
        alice = await add_account(other, "alice")
        assert await wait_for(told, AccountNamed) == AccountNamed(alice.id, "alice")
        empty = await serve(folder="other", on=FakeChain())
        await alice.names.use(empty.url)
        assert await wait_for(told, AccountNamed) == AccountNamed(alice.id, "")
    assert alice.names.server == empty.url
    assert alice.vault.record.settings["RingNS.uri"] == empty.url
    await alice.names.use("")
    await eventually(lambda: alice.names.own == "alice")
    with pytest.raises(AddressFormatError):
        await alice.names.use("ftp://names.example")


async def test_a_server_that_was_away_is_asked_again(
    open_node: OpenNode, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In silence, and without holding up anything; ids need nobody meanwhile."""
    monkeypatch.setattr(module, "RETRY_FIRST", 0.01)
    server = await serve()
    registering = await open_node(config=asking(server.url, ask_own=False))
    alice = await add_account(registering, "alice")
    await alice.names.register("alice")
    port = server.port
    await server.__aexit__(None, None, None)

    node = await open_node(config=asking(f"http://127.0.0.1:{port}"))
    again = await add_account(node, "alice")
    bob = device("bob").chain.account
    assert (await again.contacts.add(bob)).id == bob
    assert await again.names.find_account(str(bob)) == bob
    assert str(await again.names.find_target(DEVICE)) == DEVICE
    with pytest.raises(NameServerUnavailableError):
        await again.contacts.add("bobby")
    assert again.names.own == ""
    await serve(port=port)
    await eventually(lambda: again.names.own == "alice")


@pytest.mark.parametrize("text", ["", "no body", "ab", "ab" * 17, DEVICE, "a" * 33])
async def test_what_can_be_no_name_is_told(open_node: OpenNode, text: str) -> None:
    """Without a question to anybody; of a device's id nothing is cut off to make an account."""
    node = await open_node(is_offline=True)
    alice = await add_account(node, "alice")
    with pytest.raises(UnknownNameError):
        await alice.contacts.add(text)


async def test_lies_lead_nowhere(open_node: OpenNode, odd: OddServer) -> None:
    """Neither to a contact, nor to a name of one's own."""
    bob, mallory = record_of("bob"), record_of("mallory")
    odd.say("/name/bob", forged(bob, account=mallory.account))
    node = await open_node(config=asking(odd.url), is_offline=True)
    alice = await add_account(node, "alice")
    with pytest.raises(WrongKeyError):
        await alice.contacts.add("bob")
    assert odd.asked == ["/name/bob"]
    assert alice.contacts.list() == ()
    assert alice.names.own == ""


async def test_the_password_is_asked_for_before_the_server(open_node: OpenNode) -> None:
    """The key is behind it."""
    node = await open_node(is_offline=True)
    alice = await node.accounts.import_archive(
        archive_of("alice", PASSWORD), password=PASSWORD, key_bits=BITS
    )
    with pytest.raises(ArchivePasswordError):
        await alice.names.register("alice", password="wrong")  # noqa: S106 - of a test
    with pytest.raises(NameServerUnavailableError):
        await alice.names.register("alice", password=PASSWORD)
    assert alice.names.own == ""


async def test_whose_server_is_asked(open_node: OpenNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of config.toml for the account, its own, the node's, the environment's, Jami's."""
    own = str(device("alice").chain.account)[:8]
    config = loopback(
        names=NamesSettings("https://node.example"),
        accounts={own: AccountSettings(name_server="http://mine.example/")},
    )
    node = await open_node(config=config, is_offline=True)
    alice, bob = await add_account(node, "alice"), await add_account(node, "bob")
    await alice.names.use("https://jami.example")
    assert alice.names.server == "http://mine.example"
    assert bob.names.server == "https://node.example"
    await bob.names.use("bobs.example")
    assert bob.names.server == "https://bobs.example"
    assert SharedNames(NamesSettings()).server == AWAY
    monkeypatch.delenv(module.SERVER_VARIABLE)
    assert SharedNames(NamesSettings()).server == "https://ns.jami.net"
    with pytest.raises(ConfigError, match=r"names\.server"):
        SharedNames(NamesSettings("ftp://names.example"))
    broken = loopback(accounts={own: AccountSettings(name_server="no url")})
    with pytest.raises(ConfigError, match="name_server"):
        await add_account(await open_node(config=broken, is_offline=True), "alice")


async def test_nobody_is_asked_offline_or_against_ones_will(
    open_node: OpenNode, odd: OddServer
) -> None:
    """Only the account that asks after both is heard of."""
    unwilling = await open_node(config=asking(odd.url, ask_own=False))
    await add_account(unwilling, "alice")
    offline = await open_node(config=asking(odd.url), is_offline=True)
    await add_account(offline, "alice")
    willing = await open_node(config=asking(odd.url))
    bob = await add_account(willing, "bob")
    await eventually(lambda: bool(odd.asked))
    assert {path.removeprefix("/addr/").removeprefix("0x") for path in odd.asked} == {str(bob.id)}


async def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """And how to install them."""

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=f"httpx2 of {name}")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(NamesMissingError, match="names need httpx2"):
        await SharedNames(NamesSettings()).client()
