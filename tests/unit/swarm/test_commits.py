"""Commit objects: what git and Jami would make of ours, and we of theirs."""

from __future__ import annotations

import pytest
from dulwich.objects import Commit as GitCommit
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import CommitId, DecodeError
from shoal.swarm.commits import Commit, clean_name, commit_id, merge_message, merged_id
from tests.unit.swarm.people import ALICE, BOB, device, who

TREE = bytes(range(20))
PARENT = CommitId(bytes(range(1, 21)))


def build(message: bytes = b'{"type":"text/plain"}', name: str = "Alice A") -> Commit:
    """A commit by alice."""
    return Commit.build(
        tree=TREE,
        parents=(PARENT,),
        name=name,
        device=who(ALICE).device_id,
        wall_time=1_795_217_831,
        message=message,
        key=device(ALICE).private_key,
    )


def test_layout() -> None:
    """The header lines stand as Jami writes them, the signature after the committer."""
    commit = build()
    lines = commit.raw.split(b"\n")

    person = f"Alice A <{who(ALICE).device_id}> 1795217831 +0000".encode()
    assert lines[:4] == [
        b"tree " + TREE.hex().encode(),
        b"parent " + str(PARENT).encode(),
        b"author " + person,
        b"committer " + person,
    ]
    assert lines[4].startswith(b"signature ")
    assert lines[5:] == [b"", b'{"type":"text/plain"}']


def test_written_anew() -> None:
    """From what was read comes the same object, signed or not."""
    commit = build(name="Ada Ж")
    unsigned = Commit.parse(commit.signed_bytes)

    assert commit.encode() == commit.raw
    assert unsigned.encode() == unsigned.raw


def test_git_agrees() -> None:
    """A git library reads the same, and gives it the same id."""
    commit = build()
    theirs = GitCommit.from_string(commit.raw)

    assert theirs.id.decode() == str(commit.id)
    assert theirs.as_raw_string() == commit.raw
    assert theirs.message == commit.message


def test_signature_covers_everything() -> None:
    """It is the author's, and over each byte of the rest."""
    commit = build()
    key, stranger = device(ALICE).certificate.public_key, device(BOB).certificate.public_key

    assert commit.is_signed_by(key)
    assert not commit.is_signed_by(stranger)
    assert b"signature" not in commit.signed_bytes
    for old, new in ((b"Alice A", b"Alice B"), (b"text/plain", b"text/plaim"), (b"783", b"784")):
        assert not Commit.parse(commit.raw.replace(old, new)).is_signed_by(key)


def test_a_folded_signature_is_read() -> None:
    """Git folds long values; the signature is the same, and so is what it covers."""
    commit = build()
    assert commit.signature is not None
    head, _, tail = commit.raw.partition(b"signature ")
    value, _, message = tail.partition(b"\n")
    folded = Commit.parse(head + b"signature " + value[:70] + b"\n " + value[70:] + b"\n" + message)

    assert folded.signature == commit.signature
    assert folded.is_signed_by(device(ALICE).certificate.public_key)


def test_without_signature() -> None:
    """A commit that is not signed is one all the same; it is nobody's."""
    commit = Commit.parse(build().signed_bytes)

    assert commit.signature is None
    assert not commit.is_signed_by(device(ALICE).certificate.public_key)


def test_merge_messages() -> None:
    """They name the second parent."""
    assert merged_id(merge_message(PARENT)) == PARENT
    assert merged_id(b"Merge commit 'x'") is None


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("  Al<i>ce. ", "Alice"),
        ("", str(who(ALICE).device_id)),
        (" .;'", str(who(ALICE).device_id)),
        ("Ann\nb", "Annb"),
    ],
)
def test_names_as_git_keeps_them(name: str, kept: str) -> None:
    """No brackets, no crud at the ends, never empty."""
    assert clean_name(name, who(ALICE).device_id) == kept


@given(st.text())
def test_any_name_gives_a_commit(name: str) -> None:
    """Whatever people call themselves, what they say is read back."""
    assert build(name=name).device == who(ALICE).device_id


@given(st.binary())
def test_any_message_survives(message: bytes) -> None:
    """The message is what comes after the first empty line, whatever is in it."""
    assert build(message).message == message


@given(st.binary(max_size=200), st.integers(0, 400), st.binary(max_size=4))
def test_any_bytes(noise: bytes, position: int, patch: bytes) -> None:
    """Bytes are a commit or a DecodeError; a commit's id is that of its bytes."""
    raw = build().raw
    for data in (noise, raw[:position] + patch + raw[position + len(patch) :]):
        try:
            commit = Commit.parse(data)
        except DecodeError:
            continue
        assert commit.id == commit_id(data)
