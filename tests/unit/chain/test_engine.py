"""The transaction engine: transcripts, and a chain that crashes, forgets and reorganises."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash
from shoal.chain.config import TransactionConfig
from shoal.chain.effects import Broadcast, Confirmed, Delayed, Effect, Estimate, Failed, Look, Mined
from shoal.chain.engine import State, TransactionEngine
from shoal.chain.errors import (
    ChainError,
    ChainUnreachableError,
    NonceError,
    OutOfFundsError,
    RevertedError,
    TooManyTransactionsError,
    UnderpricedError,
    WrongChainError,
)
from shoal.chain.intent import Intent
from shoal.chain.keys import ChainKey
from shoal.chain.transaction import decode_transaction
from shoal.chain.values import Call, ChainView, Fees, Receipt
from shoal.core import DecodeError, Persist

KEY = ChainKey(bytes(31) + b"\7")
CONTRACT = ChainAddress(bytes([5]) * 20)
CALL = Call(CONTRACT, b"do it")
CONFIG = TransactionConfig(confirmations=2, poll_interval=1.0, retry_interval=2.0)
FEES = Fees(base_wei=100, priority_wei=10)
CHAIN = 77


def view(head: int = 1, nonce: int = 0, **changes: object) -> ChainView:
    """What a chain shows, with plenty of money."""
    shown = ChainView(CHAIN, head, nonce, 10**18, FEES, {})
    return replace(shown, **changes)  # type: ignore[arg-type]


def receipt(tx_hash: TransactionHash, block: int, *, good: bool = True, fork: int = 0) -> Receipt:
    """A receipt in a block."""
    block_hash = BlockHash(bytes([fork]) * 16 + block.to_bytes(16))
    return Receipt(tx_hash, block, block_hash, good, 21_000, 110)


def sent(engine: TransactionEngine, key: str = "a", nonce: int = 0) -> Broadcast:
    """Bring an intent to where it is handed in."""
    engine.submit(key, CALL, 0.0)
    engine.estimated(key, 50_000, 0.0)
    effects = engine.looked(view(nonce=nonce), 0.0)
    (order,) = [each for each in effects if isinstance(each, Broadcast)]
    return order


def kinds(effects: list[Effect]) -> list[type[object]]:
    """Return what is ordered and reported."""
    return [type(each) for each in effects]


def test_from_wanted_to_confirmed() -> None:
    """The whole life, and that each step is on disk before the next."""
    engine = TransactionEngine(CONFIG, KEY, CHAIN)

    assert engine.start(0.0) == []
    wanted = engine.submit("a", CALL, 0.0)
    assert kinds(wanted) == [Persist, Estimate]
    assert engine.submit("a", CALL, 0.0) == []  # the same again
    assert engine.estimated("a", 50_000, 0.0) == [Look(())]
    persist, order = engine.looked(view(head=7, nonce=3), 0.0)
    assert isinstance(persist, Persist)
    assert isinstance(order, Broadcast)
    saved = Intent.decode("a", persist.data)
    assert (saved.nonce, saved.gas_limit, saved.forms[0].raw) == (3, 60_000, order.raw)
    made = decode_transaction(order.raw).transaction
    assert (made.fee_wei, made.priority_fee_wei, made.call) == (210, 10, CALL)

    assert engine.broadcast_done("a", order.tx_hash, None, 0.1) == [Look((order.tx_hash,))]
    mined = receipt(order.tx_hash, 8)
    shown = view(head=8, nonce=4, receipts={order.tx_hash: mined})
    assert engine.looked(shown, 0.2) == [Mined("a", mined)]
    assert engine.states() == {"a": (State.MINED, None)}
    assert engine.next_deadline() == pytest.approx(1.2)
    assert engine.advance(1.2) == [Look((order.tx_hash,))]
    assert engine.looked(replace(shown, head=9), 1.3) == [Persist("a", b""), Confirmed("a", mined)]
    assert (len(engine), engine.next_deadline(), "a" in engine) == (0, None, False)


def test_a_refusal_costs_nothing() -> None:
    """The contract says no when asked: it ends before it has a nonce."""
    engine = TransactionEngine(CONFIG, KEY, CHAIN)
    engine.submit("a", CALL, 0.0)
    error = RevertedError("name taken")

    assert engine.estimate_failed("a", error, 0.0) == [Persist("a", b""), Failed("a", error)]
    assert engine.estimate_failed("a", error, 0.0) == []
    assert engine.estimated("a", 1, 0.0) == []


def test_an_unreachable_chain_is_asked_again() -> None:
    """An intent outlives it."""
    engine = TransactionEngine(CONFIG, KEY, CHAIN)
    engine.submit("a", CALL, 0.0)
    error = ChainUnreachableError("away")

    assert engine.estimate_failed("a", error, 0.0) == [Delayed("a", error)]
    assert engine.next_deadline() == 2.0
    assert engine.advance(1.9) == []
    assert engine.advance(2.0) == [Estimate("a", CALL)]
    assert engine.advance(2.0) == []
    engine.estimated("a", 50_000, 2.1)
    assert engine.look_failed(error, 3.0) == [Delayed(None, error)]
    assert engine.states()["a"] == (State.READY, error)
    assert engine.next_deadline() == 5.0
    assert engine.advance(5.0) == [Look(())]


def test_what_is_saved_goes_on() -> None:
    """After a crash: what has no nonce is estimated again, what was signed is looked for first."""
    first = TransactionEngine(CONFIG, KEY, CHAIN)
    (wanted, _) = first.submit("b", CALL, 0.0)
    assert isinstance(wanted, Persist)
    order = sent(first)
    saved = [("a", first._works["a"].intent.encode()), ("b", wanted.data)]  # noqa: SLF001

    engine = TransactionEngine(CONFIG, KEY, CHAIN, saved)
    assert engine.start(0.0) == [Estimate("b", CALL), Look((order.tx_hash,))]
    again = engine.looked(view(), 0.0)
    assert again == [order]  # not in the chain: the same bytes, whatever happened to them
    assert engine.stats.resent == 1
    mined = receipt(order.tx_hash, 2)
    engine.broadcast_done("a", order.tx_hash, None, 0.1)
    found = engine.looked(view(head=9, nonce=1, receipts={order.tx_hash: mined}), 0.2)
    assert found[-1] == Confirmed("a", mined)


def test_damaged_intents_are_refused() -> None:
    """Rather than forgotten."""
    with pytest.raises(DecodeError):
        TransactionEngine(CONFIG, KEY, CHAIN, [("a", b"{}")])


def test_nonces_are_given_in_order() -> None:
    """From one place, behind all that is under way, as many as may be in flight."""
    engine = TransactionEngine(replace(CONFIG, in_flight_max=2), KEY, CHAIN)
    for key in "abc":
        engine.submit(key, CALL, 0.0)
        engine.estimated(key, 50_000, 0.0)
    effects = engine.looked(view(nonce=5), 0.0)
    orders = [each for each in effects if isinstance(each, Broadcast)]

    assert [order.key for order in orders] == ["a", "b"]
    assert [decode_transaction(order.raw).transaction.nonce for order in orders] == [5, 6]
    assert engine.states()["c"][0] is State.READY


def test_a_number_that_the_chain_lost_is_used_again() -> None:
    """By who needs one, else by a payment of nothing: what waits behind keeps its own."""
    engine = TransactionEngine(CONFIG, KEY, CHAIN)
    for key in "ab":
        engine.submit(key, CALL, 0.0)
        engine.estimated(key, 50_000, 0.0)
    for each in engine.looked(view(nonce=5), 0.0):
        if isinstance(each, Broadcast):
            engine.broadcast_done(each.key, each.tx_hash, None, 0.0)
    engine.looked(view(nonce=3), 1.0)  # two of its blocks are gone; or a node lags behind
    assert len(engine) == 2
    persisted, estimate = engine.looked(view(nonce=3), 1.0 + CONFIG.resend_interval)[-2:]
    assert isinstance(persisted, Persist)
    assert estimate == Estimate("fill nonce 3", Call(KEY.address))
    engine.estimated("fill nonce 3", 21_000, 70.0)
    engine.submit("c", CALL, 70.0)
    engine.estimated("c", 50_000, 70.0)
    orders = {
        each.key: decode_transaction(each.raw).transaction
        for each in engine.looked(view(nonce=3), 71.0)
        if isinstance(each, Broadcast)
    }
    assert orders["fill nonce 3"].nonce == 3
    assert orders["fill nonce 3"].call == Call(KEY.address)
    assert orders["c"].nonce == 4


def test_receipts_newer_than_the_nonce() -> None:
    """A look that shows a receipt and a nonce from before it gives no nonce out twice."""
    engine = TransactionEngine(replace(CONFIG, confirmations=1), KEY, CHAIN)
    order = sent(engine)
    engine.submit("b", CALL, 0.0)
    engine.estimated("b", 50_000, 0.0)
    engine.broadcast_done("a", order.tx_hash, None, 0.0)
    shown = view(head=2, nonce=0, receipts={order.tx_hash: receipt(order.tx_hash, 2)})
    effects = engine.looked(shown, 0.1)
    (next_order,) = [each for each in effects if isinstance(each, Broadcast)]

    assert decode_transaction(next_order.raw).transaction.nonce == 1


def test_a_reorganisation_sends_it_again() -> None:
    """In a block that goes away: the same bytes are handed in again."""
    engine = TransactionEngine(CONFIG, KEY, CHAIN)
    order = sent(engine)
    engine.broadcast_done("a", order.tx_hash, None, 0.0)
    engine.looked(view(8, 1, receipts={order.tx_hash: receipt(order.tx_hash, 8)}), 1.0)
    engine.advance(2.0)

    assert engine.looked(view(8, 0), 2.0) == [order]
    assert engine.stats.undone == 1
    engine.broadcast_done("a", order.tx_hash, None, 2.0)
    other = receipt(order.tx_hash, 9, fork=1)
    assert engine.looked(view(9, 1, receipts={order.tx_hash: other}), 3.0) == [Mined("a", other)]


def test_a_stuck_transaction_becomes_dearer() -> None:
    """With the same nonce; whichever form gets into a block ends it."""
    engine = TransactionEngine(replace(CONFIG, replace_blocks=5), KEY, CHAIN)
    order = sent(engine)
    engine.broadcast_done("a", order.tx_hash, None, 0.0)
    assert engine.looked(view(5), 1.0) == []
    persist, dearer = engine.looked(view(6), 2.0)
    assert isinstance(persist, Persist)
    assert isinstance(dearer, Broadcast)
    old, new = (decode_transaction(each.raw).transaction for each in (order, dearer))
    assert new.nonce == old.nonce
    assert new.fee_wei * 100 >= old.fee_wei * 113
    assert (new.priority_fee_wei or 0) * 100 >= (old.priority_fee_wei or 0) * 113
    assert engine.broadcast_done("a", dearer.tx_hash, None, 2.0) == [
        Look((order.tx_hash, dearer.tx_hash))
    ]
    mined = receipt(order.tx_hash, 7)  # the first form, after all
    assert Confirmed("a", mined) in engine.looked(view(8, 1, receipts={order.tx_hash: mined}), 3.0)


def test_what_is_too_cheap_becomes_dearer_at_once_up_to_a_limit() -> None:
    """And at the limit it waits."""
    config = replace(CONFIG, fee_max=215, resend_interval=9.0)
    engine = TransactionEngine(config, KEY, CHAIN)
    order = sent(engine)
    error = UnderpricedError("fee too low")
    assert engine.broadcast_done("a", order.tx_hash, error, 0.0) == [Delayed("a", error)]
    (_, dearer) = engine.looked(view(), 1.0)
    assert isinstance(dearer, Broadcast)
    assert decode_transaction(dearer.raw).transaction.fee_wei == 215
    engine.broadcast_done("a", dearer.tx_hash, error, 1.0)
    assert engine.looked(view(), 2.0) == [dearer]  # as dear as it may be: the same again


def test_a_used_nonce_is_believed_after_some_blocks() -> None:
    """Then another transaction had it, ours can never be, and the intent begins anew."""
    engine = TransactionEngine(replace(CONFIG, lost_blocks=3), KEY, CHAIN)
    order = sent(engine)
    engine.broadcast_done("a", order.tx_hash, NonceError("nonce too low"), 0.0)
    assert engine.looked(view(4, 1), 1.0) == []
    assert engine.looked(view(6, 1), 2.0) == []
    persist, ask = engine.looked(view(7, 1), 3.0)
    assert isinstance(persist, Persist)
    assert Intent.decode("a", persist.data).nonce is None
    assert ask == Estimate("a", CALL)
    assert engine.stats.overtaken == 1


def test_a_failed_transaction_says_why() -> None:
    """The receipt has no reason, so the call is asked again."""
    for answer in (RevertedError("name taken"), None):
        engine = TransactionEngine(replace(CONFIG, confirmations=1), KEY, CHAIN)
        order = sent(engine)
        engine.broadcast_done("a", order.tx_hash, None, 0.0)
        bad = receipt(order.tx_hash, 2, good=False)
        shown = view(2, 1, receipts={order.tx_hash: bad})
        assert engine.looked(shown, 1.0) == [Mined("a", bad), Estimate("a", CALL)]
        if answer is not None:
            ended = engine.estimate_failed("a", answer, 1.0)
        else:
            ended = engine.estimated("a", 1, 1.0)
        assert kinds(ended) == [Persist, Failed]


def test_out_of_funds_ends_it_before_it_has_a_nonce() -> None:
    """Said with figures; but while others are under way, it waits for what they leave."""
    engine = TransactionEngine(CONFIG, KEY, CHAIN)
    engine.submit("a", CALL, 0.0)
    engine.estimated("a", 50_000, 0.0)
    _, failed = engine.looked(view(balance_wei=1000), 0.0)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, OutOfFundsError)
    assert (failed.error.needed_wei, failed.error.balance_wei) == (60_000 * 210, 1000)

    engine = TransactionEngine(CONFIG, KEY, CHAIN)
    for key in "ab":
        engine.submit(key, CALL, 0.0)
        engine.estimated(key, 50_000, 0.0)
    orders = engine.looked(view(balance_wei=60_000 * 210), 0.0)
    assert kinds(orders) == [Persist, Broadcast, Look]
    assert engine.states()["b"][0] is State.READY


def test_another_chain_stops_everything() -> None:
    """Nothing is signed for it; it may come back."""
    engine = TransactionEngine(CONFIG, KEY, CHAIN)
    engine.submit("a", CALL, 0.0)
    engine.estimated("a", 50_000, 0.0)
    (delayed,) = engine.looked(view(chain_id=78), 0.0)

    assert isinstance(delayed, Delayed)
    assert isinstance(delayed.error, WrongChainError)
    assert engine.next_deadline() == 2.0


def test_old_chains_have_a_gas_price() -> None:
    """Without a base fee, legacy transactions."""
    engine = TransactionEngine(CONFIG, KEY, CHAIN)
    engine.submit("a", CALL, 0.0)
    engine.estimated("a", 50_000, 0.0)
    (_, order) = engine.looked(view(fees=Fees(None, 33)), 0.0)
    assert isinstance(order, Broadcast)
    made = decode_transaction(order.raw).transaction

    assert (made.fee_wei, made.priority_fee_wei) == (33, None)


def test_too_many_are_refused() -> None:
    """Before anything changes."""
    engine = TransactionEngine(replace(CONFIG, queue_max=1), KEY, CHAIN)
    engine.submit("a", CALL, 0.0)
    with pytest.raises(TooManyTransactionsError):
        engine.submit("b", CALL, 0.0)
    assert engine.submit("a", CALL, 0.0) == []
    assert len(engine) == 1


def test_answers_that_nobody_waits_for() -> None:
    """Change nothing."""
    engine = TransactionEngine(CONFIG, KEY, CHAIN)
    assert engine.looked(view(), 0.0) == []
    assert engine.broadcast_done("a", TransactionHash(bytes(32)), None, 0.0) == []
    assert engine.advance(5.0) == []


@dataclass
class World:
    """A chain with a pool, that loses, reorganises and is away; and a sender that crashes.

    The contract takes each call once, as the registry does: what comes second is refused.
    """

    chance: random.Random
    head: int = 0
    blocks: list[list[bytes]] = field(default_factory=list)  # raw transactions
    pool: dict[TransactionHash, bytes] = field(default_factory=dict)
    disk: dict[str, bytes] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    now: float = 0.0
    calm: bool = False
    engine: TransactionEngine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = self.new_engine()
        self.tasks: list[Effect] = []

    def new_engine(self) -> TransactionEngine:
        """Start from what is on disk."""
        config = replace(CONFIG, confirmations=3, replace_blocks=3, lost_blocks=3)
        return TransactionEngine(config, KEY, CHAIN, list(self.disk.items()))

    def done(self) -> list[Call]:
        """The calls that succeeded, in order."""
        calls: list[Call] = []
        for block in self.blocks:
            for raw in block:
                call = decode_transaction(raw).transaction.call
                if call not in calls:
                    calls.append(call)
        return calls

    def nonce(self) -> int:
        """The account's transactions in blocks."""
        return sum(len(block) for block in self.blocks)

    def take(self, effects: list[Effect]) -> None:
        """Carry effects out in order; a crash may come between any two."""
        for effect in effects:
            if not self.calm and self.chance.random() < 0.01:
                self.crash()
                return
            match effect:
                case Persist(name, data):
                    if data:
                        self.disk[name] = data
                    else:
                        self.disk.pop(name, None)
                case Confirmed(key) | Failed(key):
                    assert key not in self.ended, "an intent ends once"
                    self.ended[key] = type(effect).__name__
                case Estimate() | Look() | Broadcast():
                    self.tasks.append(effect)
                case _:
                    pass

    def crash(self) -> None:
        """Lose what is in memory."""
        self.tasks.clear()
        self.engine = self.new_engine()
        self.take(self.engine.start(self.now))

    def answer(self, task: Effect) -> None:
        """Let the chain answer, or not."""
        away = not self.calm and self.chance.random() < 0.1
        gone = ChainUnreachableError("away")
        match task:
            case Estimate(key, call):
                if away:
                    self.take(self.engine.estimate_failed(key, gone, self.now))
                elif call in self.done():
                    refused = RevertedError("taken")
                    self.take(self.engine.estimate_failed(key, refused, self.now))
                else:
                    self.take(self.engine.estimated(key, 50_000, self.now))
            case Look(hashes):
                if away:
                    self.take(self.engine.look_failed(gone, self.now))
                else:
                    self.take(self.engine.looked(self.view(hashes), self.now))
            case Broadcast(key, raw, tx_hash):
                error: ChainError | None = gone
                if not away:
                    error = self.hand_in(raw, tx_hash)
                if away and self.chance.random() < 0.5:
                    self.hand_in(raw, tx_hash)  # it arrived; only the answer did not
                self.take(self.engine.broadcast_done(key, tx_hash, error, self.now))
            case _:
                raise AssertionError(task)

    def hand_in(self, raw: bytes, tx_hash: TransactionHash) -> ChainError | None:
        """Take a transaction into the pool."""
        if decode_transaction(raw).transaction.nonce < self.nonce():
            return NonceError("nonce too low")
        self.pool[tx_hash] = raw
        return None

    def view(self, hashes: tuple[TransactionHash, ...]) -> ChainView:
        """Show the chain as it is."""
        found: dict[TransactionHash, Receipt] = {}
        seen: list[Call] = []
        for number, block in enumerate(self.blocks, 1):
            fork = sum(hash(raw) for raw in block) % 251
            for raw in block:
                signed = decode_transaction(raw)
                good = signed.transaction.call not in seen
                seen.append(signed.transaction.call)
                if signed.hash in hashes:
                    found[signed.hash] = receipt(signed.hash, number, good=good, fork=fork)
        return view(len(self.blocks), self.nonce(), receipts=found)

    def mine(self) -> None:
        """Make a block of what fits: nonces in order, dearest first."""
        block: list[bytes] = []
        nonce = self.nonce()
        while True:
            fitting = [
                raw
                for raw in self.pool.values()
                if decode_transaction(raw).transaction.nonce == nonce
            ]
            if not fitting or (not self.calm and self.chance.random() < 0.4):
                break
            block.append(self.chance.choice(fitting))
            nonce += 1
        for tx_hash, raw in list(self.pool.items()):
            if decode_transaction(raw).transaction.nonce < nonce:
                del self.pool[tx_hash]
        self.blocks.append(block)

    def reorganise(self) -> None:
        """Replace one or two blocks, less than confirmations, by longer ones without them."""
        depth = self.chance.randint(1, 2)
        for _ in range(min(depth, len(self.blocks))):
            for raw in self.blocks.pop():
                if self.chance.random() < 0.5:
                    self.pool[decode_transaction(raw).hash] = raw
        for _ in range(depth):
            self.mine()

    def step(self) -> None:
        """Something happens."""
        what = self.chance.random()
        if self.tasks and what < 0.6:
            self.answer(self.tasks.pop(0))
        elif what < 0.75:
            self.mine()
        elif not self.calm and what < 0.78:
            self.reorganise()
        elif not self.calm and what < 0.80 and self.pool:
            self.pool.pop(self.chance.choice(list(self.pool)))  # a node restarted
        elif not self.calm and what < 0.81:
            self.crash()
        else:
            self.now += 0.5
            self.take(self.engine.advance(self.now))


@given(seed=st.integers(0, 2**32), count=st.integers(1, 5))
@settings(max_examples=60)
def test_each_intent_happens_once(seed: int, count: int) -> None:
    """Whatever crashes, is lost, away or reorganised: in the end each call is in the chain once.

    Forms that come second are refused by the contract, so "once" is about what succeeded; and a
    Failed is told only where the call is in the chain already, or never will be.
    """
    world = World(random.Random(seed))  # noqa: S311 - a seed is the point
    calls = {f"key {number}": Call(CONTRACT, bytes([number])) for number in range(count)}
    for key, call in calls.items():
        world.take(world.engine.submit(key, call, world.now))
    for _ in range(400):
        world.step()
    world.calm = True
    for key, call in calls.items():  # the caller asks again after a crash, if it was not told
        if key not in world.ended and key not in world.engine:
            if call in world.done():
                world.ended[key] = "found"
            else:
                world.take(world.engine.submit(key, call, world.now))
    for _ in range(2000):
        if len(world.engine) == 0 and not world.tasks:
            break
        world.step()

    assert sorted(world.done(), key=lambda call: call.data) == list(calls.values())
    assert len(world.engine) == 0
    assert world.disk == {}
    successes = [raw for block in world.blocks for raw in block]
    nonces = [decode_transaction(raw).transaction.nonce for raw in successes]
    assert nonces == list(range(len(nonces)))
