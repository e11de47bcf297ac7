"""The database: queued once, handled in order, kept together, refused when it makes no sense."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from shoal.bot.errors import BotStoreError
from shoal.bot.store import VERSION, Arrival, BotStore, DueTask, NewTask, Outcome, packed
from shoal.core import CommitId, ConversationId

if TYPE_CHECKING:
    from pathlib import Path

HERE, THERE = ConversationId(bytes([1]) * 20), ConversationId(bytes([2]) * 20)
NOW = 1_000.0


def commit(number: int) -> CommitId:
    """The id of a message."""
    return CommitId(bytes([number]) * 20)


def test_messages_are_queued_once_and_in_order(tmp_path: Path) -> None:
    """What was queued before is not queued again; an attempt is counted when it begins."""
    with closing(BotStore(tmp_path / "bot.sqlite")) as store:
        assert store.known(HERE) is None
        store.queue(HERE, [commit(1), commit(2)], [commit(2)])
        store.queue(HERE, [commit(2), commit(3)], [commit(3), commit(4)])
        store.queue(THERE, [], [])
        assert store.known(HERE) == (commit(3), commit(4))
        assert store.known(THERE) == ()
        assert store.waiting(NOW) == [HERE]

        seen = []
        while (job := store.next(HERE, NOW)) is not None:
            assert isinstance(job, Arrival)
            assert job.attempts == 1
            seen.append(job.message)
            store.finish(job, Outcome())
        assert seen == [commit(1), commit(2), commit(3)]
        assert store.waiting(NOW) == []


def test_a_crash_keeps_both_or_neither(tmp_path: Path) -> None:
    """A job that did not finish is there again, and what its handler changed is not."""
    path = tmp_path / "bot.sqlite"
    with closing(BotStore(path)) as store:
        store.queue(HERE, [commit(1)], [commit(1)])
        assert store.next(HERE, NOW) is not None
    with closing(BotStore(path)) as store:
        job = store.next(HERE, NOW)
        assert job is not None
        assert job.attempts == 2
        assert store.state(HERE) == {}
        kept = Outcome({"count": 1, "old": [1]}, set(), [NewTask("ring", NOW + 5, {"a": "b"})])
        store.finish(job, kept)
    with closing(BotStore(path)) as store:
        assert store.next(HERE, NOW) is None
        assert store.state(HERE) == {"count": 1, "old": [1]}
        assert store.state(THERE) == {}
        assert store.next_due(NOW) == NOW + 5


def test_tasks(tmp_path: Path) -> None:
    """They come when they are due, after messages, the earliest first; and can be cancelled."""
    with closing(BotStore(tmp_path / "bot.sqlite")) as store:
        for name, due in (("late", NOW + 9), ("early", NOW + 1), ("never", NOW + 5)):
            store.add_task(HERE, NewTask(name, due, {"at": due}))
        assert store.next(HERE, NOW) is None
        assert store.next_due(NOW + 1) == NOW + 5
        job = store.next(HERE, NOW + 10)
        assert isinstance(job, DueTask)
        assert (job.name, job.wall_due, job.payload) == ("early", NOW + 1, {"at": NOW + 1})
        store.finish(job, Outcome(removed={"x"}, cancelled={"never"}))
        store.queue(HERE, [commit(1)], [commit(1)])
        message = store.next(HERE, NOW + 10)
        assert isinstance(message, Arrival)
        store.finish(message, Outcome())
        last = store.next(HERE, NOW + 10)
        assert isinstance(last, DueTask)
        assert last.name == "late"
        store.forget(HERE)
        assert store.next(HERE, NOW + 10) is None
        assert store.next_due(NOW) is None


def test_jobs_that_are_given_back(tmp_path: Path) -> None:
    """Stopping a bot in order is no fault of the message; that it was begun stays known."""
    with closing(BotStore(tmp_path / "bot.sqlite")) as store:
        store.queue(HERE, [commit(1)], [commit(1)])
        for attempts in (1, 2, 2, 2):
            job = store.next(HERE, NOW)
            assert job is not None
            assert job.attempts == attempts
            store.give_back(job)


def test_intervals(tmp_path: Path) -> None:
    """When something last ran is remembered."""
    with closing(BotStore(tmp_path / "bot.sqlite")) as store:
        assert store.wall_last("poll") is None
        store.ran("poll", NOW)
        assert store.wall_last("poll") == NOW


def test_what_cannot_be_kept() -> None:
    """Only JSON, and not too much of it."""
    with pytest.raises(BotStoreError, match="cannot be kept"):
        packed("thing", object())
    with pytest.raises(BotStoreError, match="cannot be kept"):
        packed("thing", float("nan"))
    with pytest.raises(BotStoreError, match="larger"):
        packed("thing", "x" * 1_048_576)


def test_files_that_are_none_of_ours(tmp_path: Path) -> None:
    """A newer version's is left alone; what is no database is an error in words."""
    path = tmp_path / "bot.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(BotStoreError, match="newer"):
        BotStore(path)
    path.write_bytes(b"no database " * 100)
    with pytest.raises(BotStoreError):
        BotStore(path)
    with pytest.raises(BotStoreError):
        BotStore(tmp_path)
