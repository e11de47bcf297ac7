"""`shoal token`: made, listed, revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.web import TokenFile
from tests.unit.cli.conftest import shoal
from tests.unit.cli.homes import add_person, make_home

if TYPE_CHECKING:
    from pathlib import Path


def test_a_token_is_made_listed_and_revoked(tmp_path: Path) -> None:
    """Shown once; then only what it is known by."""
    home = str(tmp_path / "home")
    made = shoal("token", "new", "my bot", "--scope", "contacts:read", "--home", home)
    token = made.out.strip()
    assert made.status == 0
    assert token.startswith("shoal_")
    listed = shoal("token", "list", "--home", home)
    assert "my bot: contacts:read" in listed.out
    assert token not in listed.out
    (kept,) = TokenFile(tmp_path / "home").list()
    assert f"{kept.id}  {kept.prefix}…" in listed.out
    revoked = shoal("token", "revoke", f"{kept.prefix}…", "--home", home)
    assert (revoked.status, revoked.out) == (0, f"revoked {kept.id}  my bot\n")
    assert shoal("token", "list", "--home", home).out == "no tokens\n"
    again = shoal("token", "revoke", kept.id, "--home", home)
    assert again.status == 1
    assert "shoal token list" in again.err


def test_tokens_for_scripts(tmp_path: Path) -> None:
    """As JSON; for one account, for some days."""
    home = make_home(tmp_path / "home")
    me = add_person(home, "alice")
    made = shoal(
        *("token", "new", "x", "--scope", "*", "--account", me[:6], "--days", "1"),
        *("--home", str(home), "--json"),
    )
    (event,) = made.events
    assert event["account"] == me
    assert event["wall_expires"] - event["wall_created"] == 24 * 3600
    (listed,) = shoal("token", "list", "--home", str(home), "--json").events
    assert listed == {name: value for name, value in event.items() if name != "token"}
    assert "until" in shoal("token", "list", "--home", str(home)).out
    (gone,) = shoal("token", "revoke", event["id"], "--home", str(home), "--json").events
    assert (gone["event"], gone["id"]) == ("revoked", event["id"])


def test_scopes_are_checked(tmp_path: Path) -> None:
    """One that is misspelled would permit nothing, silently."""
    wrong = shoal("token", "new", "x", "--scope", "?", "--home", str(tmp_path / "home"))
    assert wrong.status == 1
    assert "conversations:read" in wrong.err
