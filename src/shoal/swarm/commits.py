r"""Commit objects, as conversations sign them.

    tree <40 hex>\n
    parent <40 hex>\n                               none, one or two
    author NAME <DEVICE> SECONDS +0000\n            DEVICE: 64 hex, the long id of the device
    committer (the same)\n
    signature <base64 of RSA PKCS #1 v1.5 with SHA-512 over the object without this line>\n
    \n
    MESSAGE                                         JSON, or "Merge commit 'HEX'"

Written by hand and not with a git library, because the signature covers the exact bytes. Source:
Jami's conversationrepository.cpp; git's commit object format.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import field
from typing import TYPE_CHECKING, Final

from shoal.core import CommitId, DecodeError, DeviceId
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.crypto import SuitePrivateKey, SuitePublicKey

COMMIT_SIZE_MAX: Final = 4_194_304  # ours: a message of 4 MiB is none that people write
PARENTS_MAX: Final = 2  # Jami, validCommits: "exactly two parents" for a merge
NAME_LENGTH_MAX: Final = 256  # ours, in characters
_PERSON: Final = re.compile(rb"([^<>\n]*)<([^<>\n]*)> (-?\d{1,18}) ([+-]\d{4})")
_SIGNATURE: Final = b"signature"
_CRUD: Final = " .,:;<>\"\\'\t\n\r"  # git's ident.c, crud: stripped at both ends
_MERGE: Final = re.compile(rb"Merge commit '([0-9a-f]{40})'")


@dataclass(frozen=True, slots=True)
class Commit:
    """One signed commit. `raw` is the object without git's header; the rest is read from it."""

    id: CommitId
    tree: bytes
    parents: tuple[CommitId, ...]
    author_name: str
    device: DeviceId
    wall_time: int
    message: bytes
    signature: bytes | None
    raw: bytes = field(repr=False, compare=False)

    @classmethod
    def parse(cls, raw: bytes) -> Commit:
        """Read the content of a commit object.

        Raises:
            DecodeError: it is none, or not one of a conversation.
        """
        if len(raw) > COMMIT_SIZE_MAX:
            raise DecodeError(f"a commit of {len(raw)} bytes; {COMMIT_SIZE_MAX} at most")
        head, found, message = raw.partition(b"\n\n")
        if not found:
            raise DecodeError("a commit without a message", len(raw))
        fields = _headers(head)
        name, device, wall_time = _person(_only(fields, b"author"))
        return cls(
            commit_id(raw),
            _object_id(_only(fields, b"tree")),
            _parents(fields),
            name,
            device,
            wall_time,
            message,
            _signature(fields),
            raw,
        )

    @classmethod
    def build(
        cls,
        *,
        tree: bytes,
        parents: Sequence[CommitId],
        name: str,
        device: DeviceId,
        wall_time: int,
        message: bytes,
        key: SuitePrivateKey,
    ) -> Commit:
        """Make and sign a commit; *name* is the display name, the device id where it is empty."""
        who = clean_name(name, device)
        unsigned = _encode(tree, parents, who, device, wall_time, None, message)
        signature = key.sign(unsigned)
        return cls.parse(_encode(tree, parents, who, device, wall_time, signature, message))

    def encode(self) -> bytes:
        """Write the object anew from its fields: the bytes of `raw`, if Jami or Shoal wrote it."""
        return _encode(
            self.tree,
            self.parents,
            self.author_name,
            self.device,
            self.wall_time,
            self.signature,
            self.message,
        )

    @property
    def signed_bytes(self) -> bytes:
        """What the signature is over: the object without its signature header."""
        head, _, message = self.raw.partition(b"\n\n")
        kept: list[bytes] = []
        skipping = False
        for line in head.split(b"\n"):
            skipping = line.startswith(_SIGNATURE + b" ") or (skipping and line.startswith(b" "))
            if not skipping:
                kept.append(line)
        return b"\n".join(kept) + b"\n\n" + message

    def is_signed_by(self, key: SuitePublicKey) -> bool:
        """Say whether the signature is there and by *key*."""
        return self.signature is not None and key.verify(self.signed_bytes, self.signature)

    @property
    def is_merge(self) -> bool:
        """Whether it has two parents."""
        return len(self.parents) > 1


def _encode(
    tree: bytes,
    parents: Sequence[CommitId],
    name: str,
    device: DeviceId,
    wall_time: int,
    signature: bytes | None,
    message: bytes,
) -> bytes:
    person = f"{name} <{device}> {wall_time} +0000".encode()
    lines = [b"tree " + tree.hex().encode()]
    lines += [b"parent " + str(parent).encode() for parent in parents]
    lines += [b"author " + person, b"committer " + person]
    if signature is not None:
        lines.append(_SIGNATURE + b" " + base64.b64encode(signature))
    return b"\n".join(lines) + b"\n\n" + message


def commit_id(raw: bytes) -> CommitId:
    """Return the id of the commit object with the content *raw*."""
    digest = hashlib.sha1(b"commit %d\0" % len(raw), usedforsecurity=False)
    digest.update(raw)
    return CommitId(digest.digest())


def merge_message(second_parent: CommitId) -> bytes:
    """Return the message that Jami gives a merge."""
    return f"Merge commit '{second_parent}'".encode()


def merged_id(message: bytes) -> CommitId | None:
    """Return which commit a merge's message says it brings in, or None if it is no such message."""
    found = _MERGE.fullmatch(message)
    return CommitId.from_hex(found[1].decode()) if found else None


def clean_name(name: str, device: DeviceId) -> str:
    """Return *name* as git would keep it in a signature; the device id if nothing is left."""
    kept = "".join(c for c in name if c.isprintable() and c not in "<>")[:NAME_LENGTH_MAX]
    return kept.strip(_CRUD) or str(device)


def _headers(head: bytes) -> list[tuple[bytes, bytes]]:
    """Split the header, unfolding continued lines."""
    fields: list[tuple[bytes, bytes]] = []
    for line in head.split(b"\n"):
        if line.startswith(b" ") and fields:
            key, value = fields[-1]
            fields[-1] = (key, value + b"\n" + line[1:])
        else:
            key, _, value = line.partition(b" ")
            fields.append((key, value))
    return fields


def _only(fields: list[tuple[bytes, bytes]], key: bytes) -> bytes:
    found = [value for name, value in fields if name == key]
    if len(found) != 1:
        raise DecodeError(f"a commit with {len(found)} {key.decode()} lines")
    return found[0]


def _object_id(value: bytes) -> bytes:
    try:
        return bytes(CommitId.from_hex(value.decode("ascii")))
    except UnicodeDecodeError as error:
        raise DecodeError("an object id that is not hexadecimal") from error


def _parents(fields: list[tuple[bytes, bytes]]) -> tuple[CommitId, ...]:
    found = tuple(CommitId(_object_id(value)) for name, value in fields if name == b"parent")
    if len(found) > PARENTS_MAX:
        raise DecodeError(f"a commit with {len(found)} parents; {PARENTS_MAX} at most")
    return found


def _person(value: bytes) -> tuple[str, DeviceId, int]:
    found = _PERSON.fullmatch(value)
    if found is None:
        raise DecodeError(f"not an author: {value[:120]!r}")
    try:
        device = DeviceId.from_hex(found[2].decode("ascii"))
    except UnicodeDecodeError as error:
        raise DecodeError("a device id that is not hexadecimal") from error
    return found[1].decode(errors="replace").strip(), device, int(found[3])


def _signature(fields: list[tuple[bytes, bytes]]) -> bytes | None:
    """Return the signature; None if there is none, empty bytes if it is no base64."""
    found = [value for name, value in fields if name == _SIGNATURE]
    if not found:
        return None
    try:
        return base64.b64decode(found[0].replace(b"\n", b""), validate=True)
    except binascii.Error:
        return b""
