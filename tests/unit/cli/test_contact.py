"""`shoal contact` and `shoal connect`, with nodes that run, and without."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from shoal.cli.common import Exit
from tests.unit.cli.conftest import shoal
from tests.unit.cli.homes import RunningNode, add_person, make_home
from tests.unit.node.driver.conftest import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from shoal.net.driver import Channel


class Pair(NamedTuple):
    """Two nodes that run, with an account each."""

    alice: RunningNode
    bob: RunningNode
    alice_id: str
    bob_id: str

    def as_alice(self, *words: str) -> tuple[str, ...]:
        """Return a command for her home."""
        return (*words, "--home", str(self.alice.home))

    def as_bob(self, *words: str) -> tuple[str, ...]:
        """Return a command for his home."""
        return (*words, "--home", str(self.bob.home))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Alice and Bob, announced."""
    first = make_home(tmp_path / "alice")
    alice_id = add_person(first, "alice")
    with RunningNode(first) as alice:
        second = make_home(tmp_path / "bob", alice.port)
        bob_id = add_person(second, "bob")
        with RunningNode(second) as bob:
            for each, account in ((alice, alice_id), (bob, bob_id)):
                each.do(each.node.accounts[account].wait_announced(PATIENCE))
            yield Pair(alice, bob, alice_id, bob_id)


def wait(node: RunningNode, check: Callable[[], bool]) -> None:
    """Wait for a state of a node."""
    node.do(eventually(check))


def test_from_a_request_to_a_path(pair: Pair) -> None:
    """Asked, seen, accepted; then a connection, with all that is known of it."""
    asked = shoal(*pair.as_alice("contact", "add", pair.bob_id, "--message", "it is me"))
    assert asked.out == "asked, on 1 device\n"
    listed = shoal(*pair.as_bob("contact", "list"))
    assert pair.alice_id in listed.out
    assert "it is me" in listed.out
    assert "shoal contact accept" in listed.err
    (request,) = shoal(*pair.as_bob("contact", "list", "--requests", "--json")).events
    assert (request["event"], request["id"]) == ("request", pair.alice_id)
    (accepted,) = shoal(*pair.as_bob("contact", "accept", pair.alice_id, "--json")).events
    assert (accepted["is_confirmed"], accepted["told"]) == (True, 1)

    alice = pair.alice.node.accounts[pair.alice_id]
    wait(pair.alice, lambda: bool((c := alice.contacts.get(pair.bob_id)) and c.is_confirmed))
    assert "confirmed" in shoal(*pair.as_alice("contact", "list")).out
    again = shoal(*pair.as_alice("contact", "add", pair.bob_id))
    assert again.out == "you are contacts of each other\n"

    async def greet(channel: Channel) -> None:
        channel.write(b"hello")

    bob = pair.bob.node.accounts[pair.bob_id]

    async def serve() -> None:
        bob.on_channel("greeting:", greet)

    pair.bob.do(serve())
    reached = shoal(*pair.as_alice("connect", pair.bob_id, "--channel", "greeting:"))
    assert reached.status == Exit.OK, reached.err
    for words in ("connected to", "path       lan", "selected", "TLSv1.3", "step     path"):
        assert words in reached.out
    (event,) = shoal(
        *pair.as_alice("connect", bob.device_id.hex(), "--channel", "nothing:", "--json")
    ).events
    assert not event["is_accepted"]
    assert event["trace"]["path"]["kind"] == "lan"
    declined = shoal(*pair.as_alice("connect", pair.bob_id, "--channel", "nothing:"))
    assert declined.status == Exit.REFUSED
    assert "takes no channel called nothing:" in declined.out


def test_declining_blocking_and_removing(pair: Pair) -> None:
    """Each in a word."""
    shoal(*pair.as_alice("contact", "add", pair.bob_id))
    assert shoal(*pair.as_bob("contact", "decline", pair.alice_id)).out == "declined\n"
    twice = shoal(*pair.as_bob("contact", "decline", pair.alice_id))
    assert twice.status == Exit.FAILED
    assert shoal(*pair.as_bob("contact", "block", pair.alice_id)).out == "blocked\n"
    assert "blocked" in shoal(*pair.as_bob("contact", "list")).out
    (event,) = shoal(*pair.as_bob("contact", "unblock", pair.alice_id, "--json")).events
    assert event["event"] == "unblocked"
    assert shoal(*pair.as_alice("contact", "remove", pair.bob_id)).out == "removed\n"
    gone = shoal(*pair.as_alice("contact", "remove", pair.bob_id))
    assert gone.status == Exit.FAILED


def test_nobody_is_reached_where_nobody_is(pair: Pair) -> None:
    """Status 3, with the step that failed."""
    lost = shoal(*pair.as_alice("connect", "12" * 20))
    assert lost.status == Exit.NOT_CONNECTED
    assert "announcement" in lost.err
    assert "hint:" in lost.err
    added = shoal(*pair.as_alice("contact", "add", "12" * 20))
    assert "no device of it is online" in added.out


def test_commands_say_which_account_they_need(tmp_path: Path) -> None:
    """None, or one of several; ids that are none are wrong usage."""
    home = make_home(tmp_path / "home")
    none = shoal("contact", "list", "--home", str(home))
    assert none.status == Exit.USAGE
    assert "shoal account new" in none.err
    add_person(home, "alice")
    assert shoal("contact", "list", "--home", str(home)).status == Exit.OK
    wrong = shoal("contact", "block", "no body", "--home", str(home))
    assert wrong.status == Exit.USAGE
    bob = add_person(home, "bob")
    several = shoal("contact", "list", "--home", str(home))
    assert several.status == Exit.USAGE
    assert "--account" in several.err
    assert shoal("contact", "list", "--home", str(home), "--account", bob).status == Exit.OK
