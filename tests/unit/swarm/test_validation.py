"""How commits are judged: what is verified, what only kept, what neither."""

from __future__ import annotations

import pytest

from shoal.swarm import Commit, Conversation, MemoryStore, ObjectKind, roles
from shoal.swarm.contents import Initial, Mode, Text, write_content
from shoal.swarm.errors import InvalidCommitError
from shoal.swarm.trees import write_tree
from tests.unit.swarm.people import ALICE, BOB, CAROL, WALL_NOW, add, begin, device, who

ME = who(ALICE)
GOOD = {
    roles.admin_path(ME.account): ME.account_file,
    roles.device_path(ME.device_id): ME.device_file,
}


def first(
    files: dict[str, bytes], message: bytes = write_content(Initial(Mode.INVITES_ONLY))
) -> tuple[MemoryStore, Commit]:
    """A first commit with these files."""
    store = MemoryStore()
    tree = {path: store.add(ObjectKind.BLOB, data) for path, data in files.items()}
    commit = Commit.build(
        tree=write_tree(store, tree),
        parents=(),
        name="",
        device=ME.device_id,
        wall_time=int(WALL_NOW),
        message=message,
        key=device(ALICE).private_key,
    )
    store.add(ObjectKind.COMMIT, commit.raw)
    return store, commit


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (GOOD, write_content(Text("no beginning"))),
        (GOOD, b'{"mode":7,"type":"initial"}'),
        (GOOD | {"members/" + "0" * 40 + ".crt": b"x"}, None),
        (GOOD | {roles.invited_path(who(BOB).account): b""}, None),
        ({roles.device_path(ME.device_id): ME.device_file}, None),
        ({**GOOD, roles.admin_path(ME.account): who(BOB).account_file}, None),
        (
            {
                roles.member_path(ME.account): ME.account_file,
                roles.device_path(ME.device_id): ME.device_file,
            },
            None,
        ),
    ],
)
def test_bad_beginnings(files: dict[str, bytes], message: bytes | None) -> None:
    """Nothing of such a history is taken."""
    store, commit = first(files) if message is None else first(files, message)
    conversation = Conversation(store, who(BOB))
    with pytest.raises(InvalidCommitError):
        Conversation.clone(
            store, who(BOB), Conversation.create(MemoryStore(), ME, wall_now=0).id, commit.id
        )
    assert not conversation.standings


def test_equal_standings_are_kept_once() -> None:
    """Most commits of a member stand alike; memory holds one."""
    alice = begin()
    for number in range(3):
        alice.say(Text(str(number)), WALL_NOW)
    assert len({id(standing) for standing in alice.standings.values()}) == 1
    add(alice, CAROL)
    assert len({id(standing) for standing in alice.standings.values()}) == 2
