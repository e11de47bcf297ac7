"""The repository in memory."""

from __future__ import annotations

import pytest
from dulwich.objects import Blob

from shoal.core import CommitId
from shoal.swarm.errors import ObjectMissingError
from shoal.swarm.store import MemoryStore, ObjectKind, object_id


def test_objects() -> None:
    """Objects are found under git's ids."""
    store = MemoryStore()
    added = store.add(ObjectKind.BLOB, b"hello")

    assert added.hex() == Blob.from_string(b"hello").id.decode()
    assert added == object_id(ObjectKind.BLOB, b"hello")
    assert store.read(added) == (ObjectKind.BLOB, b"hello")
    assert store.contains(added)
    with pytest.raises(ObjectMissingError) as caught:
        store.read(bytes(20))
    assert caught.value.object_id == bytes(20)


def test_head() -> None:
    """The tip is none, then what it was set to."""
    store = MemoryStore()
    assert store.head is None
    store.set_head(CommitId(bytes(20)))
    assert store.head == bytes(20)
    store.add_all([(ObjectKind.BLOB, b"a"), (ObjectKind.BLOB, b"b")])
    assert len(store.objects) == 2
