"""`shoal status`, and why a connection takes its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shoal.cli.common import Exit
from shoal.cli.status import why
from tests.unit.cli.conftest import shoal
from tests.unit.cli.homes import add_person, make_home
from tests.unit.cli.test_contact import Pair, pair
from tests.unit.cli.test_conversation import become_contacts

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["pair"]

LOCAL = "H1 1 TCP 1 10.0.0.1 4000 typ host tcptype active"
REMOTE = "H2 1 TCP 1 192.0.2.9 5000 typ srflx raddr 0 rport 0 tcptype passive"


def trace(kind: str, **fields: Any) -> dict[str, Any]:
    """A trace with a path, as the API has it."""
    return {"path": {"kind": kind, "local": LOCAL, "remote": REMOTE, "pairs": [], **fields}}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"path": None}, "publishes"),
        (trace("lan"), "both are in one network: 10.0.0.1:4000 to 192.0.2.9:5000"),
        (trace("direct", is_incoming=True), "the other side could open it"),
        (trace("direct", is_incoming=False), "we could open it"),
        (trace("relayed"), "none was there to be tried"),
        (
            trace("relayed", pairs=[{"outcome": o} for o in ("refused", "refused", "selected")]),
            "no direct way worked (2 refused)",
        ),
    ],
)
def test_each_way_has_its_reason(found: dict[str, Any], words: str) -> None:
    """In words."""
    assert words in why(found)


def test_connections_have_a_badge(pair: Pair) -> None:
    """With who it is, and the way."""
    become_contacts(pair)
    shown = shoal(*pair.as_alice("status"))
    assert shown.status == Exit.OK
    assert "[LAN]" in shown.out
    assert "127.0.0.1:" in shown.out
    assert "announced, 1 contact" in shown.out
    (event,) = shoal(*pair.as_alice("status", "--json")).events
    (account,) = event["accounts"]
    assert account["connections"][0]["badge"] == "LAN"
    assert account["connections"][0]["peer"] == pair.bob_id


def test_nothing_runs(tmp_path: Path) -> None:
    """Accounts are shown all the same, and what to do next."""
    home = make_home(tmp_path / "home")
    empty = shoal("status", "--home", str(home))
    assert "shoal node run" in empty.out
    assert "shoal account new" in empty.out
    add_person(home, "alice")
    assert "stopped, 0 contacts, 1 device" in shoal("status", "--home", str(home)).out
