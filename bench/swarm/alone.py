"""One very long conversation, without a network: opening, reading, searching, saying."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.swarm.history import write_history
from bench.swarm.times import allocated
from shoal.core import ConversationId
from shoal.core.driver import SystemEntropy
from shoal.identity import create_account
from shoal.swarm import Conversation, Self, Text
from shoal.swarm.driver import DiskStore, Index, IndexLedger, latest, search

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


ROUNDS: Final = 5
PAGE: Final = 50
KEY_BITS: Final = 2_048  # who signs does not matter here, and 4,096 bits take four times as long


@dataclass(slots=True)
class Longest:
    """Seconds, one entry per try; memory in MiB."""

    opened: list[float] = field(default_factory=list)
    page: list[float] = field(default_factory=list)
    middle: list[float] = field(default_factory=list)
    searched: list[float] = field(default_factory=list)
    said: list[float] = field(default_factory=list)
    rebuilt: float = 0.0
    memory: float = 0.0


def measure_longest(folder: Path, count: int) -> Longest:
    """Write a history of *count* messages, and use it."""
    folder.mkdir()
    device = create_account(SystemEntropy(), time.time(), bits=KEY_BITS).device.identity
    history = ConversationId.from_hex(write_history(folder, device, count))
    found, me = Longest(), Self(device, "bench")
    begin = time.perf_counter()
    _open(folder, history, me)[2]()
    found.rebuilt = time.perf_counter() - begin
    for number in range(ROUNDS):
        before = allocated(os.getpid())
        begin = time.perf_counter()
        conversation, index, close = _open(folder, history, me)
        ledger = conversation.store.ledger
        assert isinstance(ledger, IndexLedger), "it was given one"
        opened = time.perf_counter()
        found.opened.append(opened - begin)
        latest(ledger, index, PAGE)
        read = time.perf_counter()
        found.page.append(read - opened)
        found.memory = max(found.memory, allocated(os.getpid()) - before)
        middle = next(itertools.islice(conversation.line(), count // 2, None))
        begin = time.perf_counter()
        latest(ledger, index, PAGE, middle)
        read = time.perf_counter()
        found.middle.append(read - begin)
        search(index, f"{count // 3} fox", PAGE)
        searched = time.perf_counter()
        found.searched.append(searched - read)
        conversation.say(Text(f"one more {number}"), time.time())
        found.said.append(time.perf_counter() - searched)
        close()
    return found


def _open(
    folder: Path, history: ConversationId, me: Self
) -> tuple[Conversation, Index, Callable[[], None]]:
    store, index = DiskStore(folder / str(history)), Index(folder / "index.sqlite")
    store.ledger = IndexLedger(index, history, store, partial(Conversation.load, store, me))

    def close() -> None:
        index.close()
        store.close()

    return Conversation.load(store, me), index, close
