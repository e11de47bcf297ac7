"""`shoal account profile`, `shoal conversation set` and `status`, with two nodes that run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.cli.common import Exit
from tests.unit.cli.conftest import shoal
from tests.unit.cli.test_contact import Pair, pair, wait
from tests.unit.cli.test_conversation import accounts, become_contacts
from tests.unit.swarm.test_vcards import PNG

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["pair"]


def test_what_others_see(pair: Pair, tmp_path: Path) -> None:
    """A name and a picture, shown here and in the list of a contact; both can be changed."""
    become_contacts(pair)
    alice, bob = accounts(pair)
    picture, saved = tmp_path / "me.png", tmp_path / "saved.png"
    picture.write_bytes(PNG)
    changed = shoal(
        *pair.as_alice("account", "profile", pair.alice_id, "--name", "Alice of the reef"),
        *("--picture", str(picture)),
    )
    assert changed.status == Exit.OK
    assert f"png, {len(PNG)} bytes" in changed.out
    wait(pair.bob, lambda: bob.profiles[alice.id].has_picture)
    assert "Alice of the reef" in shoal(*pair.as_bob("contact", "list")).out
    (shown,) = shoal(
        *pair.as_alice("account", "profile", pair.alice_id),
        *("--save", str(saved), "--json"),
    ).events
    assert (shown["event"], shown["name"]) == ("profile", "Alice of the reef")
    assert saved.read_bytes() == PNG

    both = shoal(
        *pair.as_alice("account", "profile", pair.alice_id),
        *("--picture", str(picture), "--no-picture"),
    )
    assert both.status == Exit.USAGE
    gone = shoal(*pair.as_alice("account", "profile", pair.alice_id, "--no-picture"))
    assert "no picture" in gone.out
    picture.write_bytes(bytes(3 * 1024 * 1024))
    large = shoal(*pair.as_alice("account", "profile", pair.alice_id, "--picture", str(picture)))
    assert large.status == Exit.USAGE
    picture.write_bytes(b"no picture")
    none = shoal(*pair.as_alice("account", "profile", pair.alice_id, "--picture", str(picture)))
    assert none.status != Exit.OK


def test_what_a_user_wants(pair: Pair) -> None:
    """Colour and silence, title and description; how far a message has come."""
    conversation = become_contacts(pair)
    alice, bob = accounts(pair)
    wanted = shoal(
        *pair.as_alice("conversation", "set", conversation, "--colour", "#e5ae43", "--mute")
    )
    assert "#e5ae43  muted" in wanted.out
    (still,) = shoal(
        *pair.as_alice("conversation", "set", conversation, "--unmute", "--json")
    ).events
    assert (still["event"], still["colour"], still["is_muted"]) == ("set", "#e5ae43", False)
    group = shoal(*pair.as_alice("conversation", "new")).out.strip()
    titled = shoal(
        *pair.as_alice("conversation", "set", group, "--title", "The reef"),
        *("--description", "who lives there"),
    )
    assert "The reef" in titled.out

    sent = shoal(*pair.as_alice("send", pair.bob_id, "hello bob")).out.strip()
    theirs = bob.conversations[conversation]
    message = alice.talking.engine.sessions[theirs.id].view
    assert message is not None

    def has_come() -> bool:
        session = bob.talking.engine.sessions[theirs.id]
        return session.view is not None and str(session.view.head) == sent

    wait(pair.bob, has_come)
    wait(
        pair.alice,
        lambda: str(alice.talking.engine.states.marks(theirs.id)[bob.id].fetched or "") == sent,
    )
    shown = shoal(*pair.as_alice("conversation", "status", conversation))
    assert f"{sent[:12]}  delivered" in shown.out
    (one,) = shoal(
        *pair.as_alice("conversation", "status", conversation, "--message", sent, "--json")
    ).events
    assert one["members"] == {pair.bob_id: "delivered"}
    empty = shoal(*pair.as_bob("conversation", "status", conversation, "--count", "0"))
    assert empty.status == Exit.FAILED
