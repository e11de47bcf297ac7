"""`shoal file` and `shoal send --file`, with two nodes that run."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from shoal.cli.common import Exit
from tests.unit.cli.conftest import shoal
from tests.unit.cli.test_contact import Pair, pair, wait
from tests.unit.cli.test_conversation import accounts, become_contacts, heads

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["pair"]

SIZE = 21_000_000  # bytes: just more than is fetched without being asked for


def test_a_file_is_sent_and_fetched(pair: Pair, tmp_path: Path) -> None:
    """Offered, shown in the log, fetched with progress, listed; and what cannot be is said."""
    conversation = become_contacts(pair)
    source = tmp_path / "film.bin"
    source.write_bytes(hashlib.shake_128(b"film").digest(SIZE))
    sent = shoal(*pair.as_alice("send", pair.bob_id, "--file", str(source)))
    assert sent.status == Exit.OK
    message = sent.out.strip()
    alice, bob = accounts(pair)
    wait(pair.bob, lambda: heads(bob, conversation) == heads(alice, conversation))
    log = shoal(*pair.as_bob("conversation", "log", conversation))
    assert f"file film.bin (21.0 MB)  {message[:12]}" in log.out

    got = shoal(
        *pair.as_bob("file", "get", conversation, message, "--to", str(tmp_path / "b"), "--json")
    )
    assert got.status == Exit.OK
    *_, done = got.events
    assert done["event"] == "file"
    assert done["path"] == str(tmp_path / "b" / "film.bin")
    assert (tmp_path / "b" / "film.bin").read_bytes() == source.read_bytes()
    assert got.events[0]["event"] == "progress"

    again = shoal(*pair.as_bob("file", "get", conversation, message))
    assert again.out.strip() == done["path"]
    listed = shoal(*pair.as_bob("file", "list"))
    assert f"{message[:12]}  <  done  100 % of 21.0 MB  film.bin" in listed.out
    for verb in ("pause", "resume", "cancel"):
        assert shoal(*pair.as_bob("file", verb, message)).status == Exit.FAILED
    nothing = shoal(*pair.as_alice("send", pair.bob_id, "--file", str(tmp_path / "nothing")))
    assert nothing.status == Exit.FAILED
    assert "there is no such file" in nothing.err
    assert shoal(*pair.as_alice("send", pair.bob_id)).status == Exit.USAGE


def test_paused_resumed_canceled(pair: Pair, tmp_path: Path) -> None:
    """A download that waits can be stopped, and go on, and be given up."""
    conversation = become_contacts(pair)
    source = tmp_path / "film.bin"
    source.write_bytes(bytes(SIZE))
    message = shoal(*pair.as_alice("send", conversation, "--file", str(source))).out.strip()
    alice, bob = accounts(pair)
    wait(pair.bob, lambda: heads(bob, conversation) == heads(alice, conversation))
    source.unlink()  # so nobody has it

    begun = shoal(*pair.as_bob("file", "get", conversation, message[:10], "--no-wait"))
    assert message[:12] in begun.out
    paused = shoal(*pair.as_bob("file", "pause", message[:10]))
    assert "paused" in paused.out
    resumed = shoal(*pair.as_bob("file", "resume", message[:10]))
    assert "paused" not in resumed.out
    (canceled,) = shoal(*pair.as_bob("file", "cancel", message, "--json")).events
    assert canceled == {"event": "cancel", "id": message}
    assert "canceled" in shoal(*pair.as_bob("file", "list")).out
