"""Following logs through a chain that replaces its newest blocks."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash
from shoal.chain.following import (
    BLOCKS_MAX,
    REMEMBERED_MAX,
    Applied,
    AskBlock,
    AskHead,
    AskLogs,
    Follower,
    Place,
    Undone,
)
from shoal.chain.values import Block, Log

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.chain.following import Answer, Question, Step

CONTRACT = ChainAddress(bytes([5]) * 20)


class Blocks:
    """A chain of blocks with one log each, told apart by forks."""

    def __init__(self, count: int) -> None:
        self.forks = [0] * count
        self.fork = 0

    def block(self, number: int) -> Block | None:
        """Return a block; its hash depends on all before it."""
        if number >= len(self.forks):
            return None
        digest = hash(tuple(self.forks[: number + 1])) % 2**64
        name = BlockHash(digest.to_bytes(16) + number.to_bytes(16))
        return Block(number, name, name, 0, 1, 0)

    def logs(self, start: int, end: int) -> list[Log]:
        """Return the logs of some blocks."""
        found = [self.block(number) for number in range(start, min(end + 1, len(self.forks)))]
        return [
            Log(CONTRACT, (), b"", each.number, each.hash, TransactionHash(each.hash), 0)
            for each in found
            if each is not None
        ]

    def reorganise(self, depth: int, more: int) -> None:
        """Replace blocks."""
        self.fork += 1
        kept = max(1, len(self.forks) - depth)
        self.forks = self.forks[:kept] + [self.fork] * (len(self.forks) - kept + more)

    def answer(self, question: Question) -> Answer:
        """Answer a question."""
        match question:
            case AskHead():
                return len(self.forks) - 1
            case AskBlock(number):
                return self.block(number)
            case AskLogs(start, end):
                return self.logs(start, end)


def play(
    follower: Follower, blocks: Blocks, before: Callable[[Question], None] = lambda _: None
) -> Step | None:
    """Play one round."""
    questions, answer = follower.round(), None
    try:
        while True:
            question = questions.send(answer)
            before(question)
            answer = blocks.answer(question)
    except StopIteration as end:
        step: Step | None = end.value
        return step


def test_blocks_are_read_in_order() -> None:
    """In steps, each block once; then there is nothing new."""
    blocks, follower = Blocks(BLOCKS_MAX + 5), Follower()
    first, second = play(follower, blocks), play(follower, blocks)

    assert isinstance(first, Applied)
    assert isinstance(second, Applied)
    assert (first.from_block, first.place.number) == (0, BLOCKS_MAX - 1)
    assert (second.from_block, second.place.number) == (BLOCKS_MAX, BLOCKS_MAX + 4)
    assert [log.block_number for log in first.logs + second.logs] == list(range(BLOCKS_MAX + 5))
    assert play(follower, blocks) is None


def test_confirmations_are_waited_for() -> None:
    """The newest blocks are left alone."""
    follower = Follower(2, confirmations=3)
    assert play(follower, Blocks(4)) is None
    step = play(follower, Blocks(5))
    assert isinstance(step, Applied)
    assert (step.from_block, step.place.number) == (2, 2)


def test_replaced_blocks_are_taken_back() -> None:
    """As far as they were replaced, and read anew."""
    blocks, follower = Blocks(3), Follower()
    play(follower, blocks)
    for _ in range(4):
        blocks.forks.append(0)
        play(follower, blocks)
    blocks.reorganise(depth=2, more=1)

    assert play(follower, blocks) == Undone(5)
    step = play(follower, blocks)
    assert isinstance(step, Applied)
    assert (step.from_block, step.place.number) == (5, 7)


def test_a_chain_that_is_shorter_or_another() -> None:
    """All that is remembered may be gone: then it begins at its beginning."""
    follower = Follower(1)
    play(follower, Blocks(5))
    other = Blocks(2)
    other.forks = [9, 9]

    assert play(follower, other) == Undone(1)
    assert follower.next_block == 1


def test_a_change_in_the_middle_of_a_round_voids_it() -> None:
    """Logs and blocks are of one chain, or the round was for nothing."""
    blocks, follower = Blocks(5), Follower()

    def change(question: Question) -> None:
        if isinstance(question, AskLogs):
            blocks.reorganise(depth=1, more=0)

    assert play(follower, blocks, change) is None
    assert follower.next_block == 0
    assert isinstance(play(follower, blocks), Applied)


def test_places_are_where_it_goes_on() -> None:
    """And no more of them are kept than a hundred."""
    blocks = Blocks(1)
    follower, places = Follower(), list[Place]()
    for _ in range(REMEMBERED_MAX + 10):
        step = play(follower, blocks)
        assert isinstance(step, Applied)
        places.append(step.place)
        blocks.forks.append(0)
    again = Follower(places=places)

    assert again.next_block == follower.next_block == len(places)
    assert len(again._places) == REMEMBERED_MAX  # noqa: SLF001 - the bound is the point


@given(seed=st.integers(0, 2**32))
@settings(max_examples=50)
def test_whoever_follows_ends_with_what_the_chain_says(seed: int) -> None:
    """After any reorganisations, also in the middle of rounds: exactly the logs of the chain."""
    chance = random.Random(seed)  # noqa: S311 - a seed is the point
    blocks, follower = Blocks(3), Follower(confirmations=chance.randint(1, 3))
    kept: list[Log] = []

    def disturb(_: Question) -> None:
        if chance.random() < 0.1:
            blocks.reorganise(chance.randint(1, 4), chance.randint(0, 2))

    def take(step: Step | None) -> bool:
        match step:
            case Applied(_, _, logs):
                kept.extend(logs)
            case Undone(start):
                kept[:] = [log for log in kept if log.block_number < start]
            case None:
                pass
        return step is not None

    for _ in range(50):
        if chance.random() < 0.5:
            blocks.forks.append(blocks.fork)
        take(play(follower, blocks, disturb))
    while take(play(follower, blocks)):
        pass

    assert kept == blocks.logs(0, follower.next_block - 1)
