"""`shoal name`: register, lookup, reverse, status; against a server in a thread."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from shoal.cli.common import Exit
from shoal.crypto import generate_identity
from shoal.identity import AccountKeys, Archive, pack_archive
from shoal.names import NameServerConfig
from shoal.names.driver.opening import open_name_server
from shoal.node import Node
from shoal.sim import SeededEntropy
from tests.unit.cli.conftest import Outcome, shoal
from tests.unit.cli.homes import add_person, make_home
from tests.unit.names.people import account_of
from tests.unit.node.driver.conftest import add_account, loopback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WALL_NOW = 1_700_000_000.0
PASSWORD = "correct horse"  # noqa: S105 - of a test


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on a chain of its own; its URL."""
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    url = ""

    async def serve() -> None:
        nonlocal url
        folder = tmp_path_factory.mktemp("names")
        async with open_name_server(folder, NameServerConfig(port=0)) as running:
            url = running.url
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    yield url
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def keys() -> AccountKeys:
    """An account."""
    identity = generate_identity("alice", bits=2048, entropy=SeededEntropy(1), wall_now=WALL_NOW)
    return AccountKeys(None, identity, b"\x01" * 32)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, keys: AccountKeys) -> Path:
    """Its archive, without a password."""
    path = tmp_path_factory.mktemp("archive") / "alice.gz"
    path.write_bytes(pack_archive(Archive(keys)))
    return path


def test_register_and_find(server: str, keys: AccountKeys, archive: Path) -> None:
    """In words and as JSON; repeating is harmless; a second name is refused."""
    at = ("--server", server)
    names = shoal("name", "status", *at, "--json").events[0]["names"]  # of other tests
    free = shoal("name", "status", "alice", *at)
    assert free.out.splitlines() == ["name: alice", "state: free"]

    done = shoal("name", "register", "Alice", "--archive", str(archive), *at)
    assert (done.status, done.out) == (Exit.OK, f"alice is {keys.id}\n")
    again = shoal("name", "register", "alice", "--archive", str(archive), *at, "--json")
    assert again.events[0]["owner"].lower() == f"0x{keys.chain_address}"
    second = shoal("name", "register", "other", "--archive", str(archive), *at)
    assert (second.status, "already has a name" in second.err) == (Exit.REFUSED, True)

    for address in ("alice", "jami:ALICE", f"alice@{server}"):
        assert shoal("name", "lookup", address, *at).out == f"{keys.id}\n"
    assert shoal("name", "reverse", str(keys.id), *at).out == "alice\n"
    for words in (("lookup", "alice"), ("reverse", f"ring:{keys.id}")):
        (event,) = shoal("name", *words, *at, "--json").events
        assert event["name"] == "alice"
        assert event["addr"] == str(keys.id)
        assert event["is_signed"] is True
    assert shoal("name", "status", "alice", *at, "--json").events[0]["state"] == "registered"
    health = shoal("name", "status", *at, "--json").events[0]
    assert (health["event"], health["status"], health["names"]) == ("status", "ok", names + 1)


def test_an_archive_with_a_password(server: str, tmp_path: Path) -> None:
    """From a file, or the standard input; a wrong one is said to be wrong."""
    identity = generate_identity("bob", bits=2048, entropy=SeededEntropy(2), wall_now=WALL_NOW)
    path, secret = tmp_path / "bob.gz", tmp_path / "secret"
    path.write_bytes(pack_archive(Archive(AccountKeys(None, identity, b"\x02" * 32)), PASSWORD))
    words = ("name", "register", "bobby", "--archive", str(path), "--server", server)

    secret.write_text("wrong\n")
    assert "password" in shoal(*words, "--password-file", str(secret)).err.lower()
    secret.write_text(f"{PASSWORD}\nand more\n")
    assert shoal(*words, "--password-file", str(secret)).status == Exit.OK
    typed = shoal(*words, "--password-file", "-", stdin=f"{PASSWORD}\n".encode())
    assert typed.status == Exit.OK


def statused(outcome: Outcome, status: Exit, text: str) -> bool:
    """Tell whether a command failed so, with these words."""
    return outcome.status == status and text in outcome.err


def test_what_goes_wrong(server: str, archive: Path, tmp_path: Path) -> None:
    """Each with its exit status."""
    at = ("--server", server)
    nowhere = ("--server", "http://127.0.0.1:9")
    register = ("name", "register", "alice", "--archive", str(archive))
    assert statused(shoal("name", "lookup", "nobody", *at), Exit.FAILED, "nobody has")
    assert statused(shoal("name", "lookup", "x", *at), Exit.USAGE, "shorter")
    assert statused(shoal("name", "lookup", "a b", *at), Exit.USAGE, "no address")
    assert statused(shoal("name", "lookup", "alice", *nowhere), Exit.NOT_CONNECTED, "no answer")
    assert statused(shoal("name", "reverse", "alice", *at), Exit.USAGE, "no account id")
    nameless = str(account_of("carol"))
    assert statused(shoal("name", "reverse", nameless, *at), Exit.FAILED, "no name")
    assert statused(shoal(*register, "--chain", "http://x"), Exit.USAGE, "belong together")
    missing = ("name", "register", "alice", "--archive", str(tmp_path / "missing"))
    assert "missing" in shoal(*missing, *at).err
    assert shoal("name", "status", *nowhere).status == Exit.NOT_CONNECTED


def test_an_id_needs_no_server() -> None:
    """It is the account."""
    account = account_of("carol")
    words = ("name", "lookup", f"jami:{account}", "--server", "http://127.0.0.1:9")
    assert shoal(*words).out == f"{account}\n"
    assert shoal(*words, "--json").events == [{"event": "found", "addr": str(account)}]


def test_an_account_of_this_device(server: str, tmp_path: Path) -> None:
    """By its name here, or its id; its archive need not be exported first."""
    home = tmp_path / "home"

    async def prepare() -> str:
        async with Node(home, config=loopback(), serves_api=False, is_offline=True) as node:
            return str((await add_account(node, "dora")).id)

    account = asyncio.run(prepare())
    words = ("name", "register", "dora", "--home", str(home), "--server", server)
    done = shoal(*words, "--account", account)
    assert (done.status, done.out) == (Exit.OK, f"dora is {account}\n")
    assert shoal(*words).status == Exit.USAGE
    assert shoal(*words, "--account", "nobody").status != Exit.OK


def test_an_account_and_its_name_server(server: str, tmp_path: Path) -> None:
    """Told which, it registers there; lists say its name; its contacts are added by theirs."""
    home = make_home(tmp_path / "home")
    eve, frank = add_person(home, "eve"), add_person(home, "frank", PASSWORD)
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    at = ("--home", str(home))
    for account in (eve, frank):
        used = shoal("name", "use", server, "--account", account, *at)
        assert (used.status, used.out) == (Exit.OK, f"names are looked up at {server}\n")
    register = ("name", "register", *at)
    (done,) = shoal(*register, "eve", "--account", eve, "--json").events
    assert (done["name"], done["addr"], done["is_signed"]) == ("eve", eve, True)
    taken = shoal(*register, "eve", "--account", frank, "--password-file", str(secret))
    assert (taken.status, "Choose another name" in taken.err) == (Exit.REFUSED, True)
    wrong = shoal(*register, "frank", "--account", frank)
    assert (wrong.status, wrong.out) == (Exit.REFUSED, "")
    right = shoal(*register, "frank", "--account", frank, "--password-file", str(secret))
    assert right.out == f"frank is {frank}\n"

    assert f"{eve}    (eve)" in shoal("account", "list", *at).out
    shown = shoal("account", "show", eve, *at).out
    assert "known as  eve\n" in shown
    assert f"names at  {server}\n" in shown
    (event,) = shoal("account", "show", frank, *at, "--json").events
    assert (event["registered_name"], event["name_server"]) == ("frank", server)

    as_eve = ("--account", eve, *at)
    blocked = shoal("contact", "block", "frank", *as_eve, "--json")
    assert blocked.status == Exit.OK, blocked.err
    assert frank in shoal("contact", "list", *as_eve).out
    for command in (
        ("contact", "add", "nobody-here"),
        ("connect", "nobody-here"),
        ("send", "nobody-here", "hello"),
    ):
        missing = shoal(*command, *as_eve)
        assert missing.status == Exit.FAILED, missing.err
        assert "nobody has the name nobody-here" in missing.err
    assert shoal("name", "use", "ftp://x", "--account", eve, *at).status != Exit.OK
    usual = shoal("name", "use", "", "--account", eve, *at, "--json").events[0]
    assert usual["server"] == "http://127.0.0.1:9"
