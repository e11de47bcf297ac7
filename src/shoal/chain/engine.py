"""Sends transactions so that each intent happens once, whatever crashes in between.

An intent goes through these states; `Persist` is written before what follows it.

  WANTED  --estimated-->  READY  --looked: nonce, fees-->  SENT  --receipt-->  MINED
    ^                                                       ^ |                  |
    |                                                       | +---- reorg -------+
    +--- its nonce was used by another transaction ---------+                    |
                                                            confirmations: Confirmed or Failed

- WANTED is on disk before anything else happens; a refusal of the contract now costs nothing.
- READY has a gas limit. Nonces are given out in order of arrival, from one place, after those of
  the account and of all that is under way.
- SENT is signed, and on disk before it is handed in. It is handed in again from time to time. In
  no block after some blocks, it is replaced by a dearer form with the same nonce: at most one
  form can be in the chain.
- MINED is in a block. If the block goes away, it is SENT again.

One look at a time shows everything that decisions take: the account's nonce, balance and fees, and
the receipts. Since the nonce is read before the receipts, a transaction whose nonce was used and
that has no receipt was overtaken by another of the same key; only several blocks later is that
believed, for nodes behind one URL may differ.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from shoal.chain.effects import (
    Broadcast,
    Confirmed,
    Delayed,
    Estimate,
    Failed,
    Look,
    Mined,
)
from shoal.chain.errors import (
    InvalidTransactionError,
    NonceError,
    OutOfFundsError,
    RevertedError,
    TooManyTransactionsError,
    UnderpricedError,
    WrongChainError,
)
from shoal.chain.intent import FORMS_MAX, Form, Intent
from shoal.chain.transaction import Transaction
from shoal.chain.values import Call
from shoal.core import Persist
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.chain.addresses import TransactionHash
    from shoal.chain.config import TransactionConfig
    from shoal.chain.effects import Effect
    from shoal.chain.errors import ChainError
    from shoal.chain.keys import ChainKey
    from shoal.chain.values import ChainView, Fees, Receipt

KEY_LENGTH_MAX: Final = 256  # characters; ours
_PERCENT: Final = 100
_FILL: Final = "fill nonce"


class State(enum.Enum):
    """How far an intent is."""

    WANTED = "wanted"
    READY = "ready"
    SENT = "sent"
    MINED = "mined"


@dataclass(slots=True)
class TransactionStats:
    """Counters of a transaction engine.

    Attributes:
        submitted: intents that were new.
        confirmed: intents that ended well.
        failed: intents that ended otherwise.
        replaced: dearer forms that were signed.
        resent: forms that were handed in again.
        undone: transactions whose block went away.
        overtaken: intents whose nonce another transaction used.
    """

    submitted: int = 0
    confirmed: int = 0
    failed: int = 0
    replaced: int = 0
    resent: int = 0
    undone: int = 0
    overtaken: int = 0


@dataclass(slots=True)
class _Work:
    """An intent in memory."""

    intent: Intent
    state: State
    retry_at: float | None = None  # when an estimate that found no chain is tried again
    is_asked: bool = False  # an estimate is under way
    is_sending: bool = False  # the newest form is being handed in
    is_accepted: bool = False  # it was taken by the node
    sent_at: float = 0.0
    sent_head: int | None = None  # the newest block when the newest form was handed in
    missing_since: int | None = None  # block since which nonce and receipts disagree
    receipt: Receipt | None = None
    problem: ChainError | None = None


class TransactionEngine:
    """The transactions of one key on one chain."""

    def __init__(
        self,
        config: TransactionConfig,
        key: ChainKey,
        chain_id: int,
        saved: Iterable[tuple[str, bytes]] = (),
    ) -> None:
        """Take up what `Persist` left.

        Raises:
            DecodeError: a saved intent cannot be read.
        """
        self.stats = TransactionStats()
        self._config = config
        self._key = key
        self._chain_id = chain_id
        self._works: dict[str, _Work] = {}
        self._is_looking = False
        self._look_again = False
        self._look_at: float | None = None
        self._broadcasting = 0
        self._gap_since: float | None = None
        for name, data in saved:
            intent = Intent.decode(name, data)
            state = State.SENT if intent.forms else State.WANTED
            self._works[name] = _Work(intent, state)

    def start(self, now: float) -> list[Effect]:
        """Go on with what was saved."""
        effects: list[Effect] = [
            effect
            for work in self._works.values()
            if work.state is State.WANTED
            for effect in self._estimate(work)
        ]
        return effects + self._look()

    # What callers want.

    def submit(self, key: str, call: Call, now: float) -> list[Effect]:
        """Want *call* to happen once. One Confirmed or one Failed with this *key* follows.

        The same *key* again, while it is under way, changes nothing.

        Raises:
            TooManyTransactionsError: too many are under way.
        """
        assert 0 < len(key) <= KEY_LENGTH_MAX, "keys are ours"
        if key in self._works:
            return []
        if len(self._works) >= self._config.queue_max:
            raise TooManyTransactionsError(f"{len(self._works)} transactions are under way")
        self._works[key] = work = _Work(Intent(key, call), State.WANTED)
        self.stats.submitted += 1
        return [Persist(key, work.intent.encode()), *self._estimate(work)]

    def states(self) -> dict[str, tuple[State, ChainError | None]]:
        """Return how far each intent is, and what it waits for."""
        return {key: (work.state, work.problem) for key, work in self._works.items()}

    def __contains__(self, key: str) -> bool:
        return key in self._works

    def __len__(self) -> int:
        return len(self._works)

    # What the chain says.

    def estimated(self, key: str, gas: int, now: float) -> list[Effect]:
        """Take the gas that a call takes."""
        work = self._works.get(key)
        if work is None or not work.is_asked:
            return []
        work.is_asked, work.problem = False, None
        if work.state is not State.WANTED:  # it was to say why the transaction failed
            return self._fail(work, RevertedError("refused when it ran; it would be taken now"))
        work.intent.gas_limit = gas + gas * self._config.gas_margin_percent // _PERCENT
        work.state = State.READY
        return self._look()

    def estimate_failed(self, key: str, error: ChainError, now: float) -> list[Effect]:
        """Take why there is no estimate: the contract's word is final, the network's is not."""
        work = self._works.get(key)
        if work is None or not work.is_asked:
            return []
        work.is_asked = False
        if isinstance(error, RevertedError | OutOfFundsError | InvalidTransactionError):
            return self._fail(work, error)
        work.retry_at = now + self._config.retry_interval
        return self._delay(work, error)

    def looked(self, view: ChainView, now: float) -> list[Effect]:
        """Take what the chain shows, and decide."""
        self._is_looking = False
        if view.chain_id != self._chain_id:
            return self.look_failed(WrongChainError(self._chain_id, view.chain_id), now)
        effects: list[Effect] = []
        floor = view.nonce  # receipts are newer than the nonce, and may show more
        for work in list(self._works.values()):
            if work.state in {State.SENT, State.MINED}:
                effects += self._follow(work, view, now)
                if work.receipt is not None and work.intent.nonce is not None:
                    floor = max(floor, work.intent.nonce + 1)
        effects += self._sign_ready(view, floor, now)
        effects += self._close_gap(floor, now)
        if self._look_again:
            self._look_again = False
            return effects + self._look()
        self._look_at = now + self._config.poll_interval if self._has_to_look() else None
        return effects

    def look_failed(self, error: ChainError, now: float) -> list[Effect]:
        """Take why the chain cannot be seen; try again later."""
        self._is_looking, self._look_again = False, False
        self._look_at = now + self._config.retry_interval if self._has_to_look() else None
        for work in self._works.values():
            work.problem = error
        return [Delayed(None, error)]

    def broadcast_done(
        self, key: str, tx_hash: TransactionHash, error: ChainError | None, now: float
    ) -> list[Effect]:
        """Take what became of handing a form in."""
        self._broadcasting -= 1
        work = self._works.get(key)
        if work is None or not work.intent.forms or work.intent.forms[-1].tx_hash != tx_hash:
            return []
        work.is_sending, work.is_accepted = False, error is None
        if error is None:
            work.problem = None
            return self._look() if self._broadcasting == 0 else []
        effects = self._delay(work, error)
        if isinstance(error, NonceError) and self._broadcasting == 0:
            effects += self._look()  # the receipt may be there
        return effects

    # Time.

    def next_deadline(self) -> float | None:
        """When `advance` next has work; None while nothing waits."""
        retries = [work.retry_at for work in self._works.values() if work.retry_at is not None]
        look = [] if self._look_at is None or self._is_looking else [self._look_at]
        return min(retries + look, default=None)

    def advance(self, now: float) -> list[Effect]:
        """Ask again what was not answered, and look at what is under way."""
        effects: list[Effect] = []
        for work in self._works.values():
            if work.retry_at is not None and work.retry_at <= now:
                work.retry_at = None
                effects += self._estimate(work)
        if self._look_at is not None and self._look_at <= now and not self._is_looking:
            effects += self._look()
        return effects

    # Steps.

    def _estimate(self, work: _Work) -> list[Effect]:
        work.is_asked = True
        return [Estimate(work.intent.key, work.intent.call)]

    def _look(self) -> list[Effect]:
        if self._is_looking:
            self._look_again = True
            return []
        if not self._has_to_look():
            return []
        self._is_looking, self._look_at = True, None
        works = self._works.values()
        return [Look(tuple(form.tx_hash for work in works for form in work.intent.forms))]

    def _has_to_look(self) -> bool:
        return any(work.state is not State.WANTED for work in self._works.values())

    def _follow(self, work: _Work, view: ChainView, now: float) -> list[Effect]:
        """See what became of a transaction that was handed in."""
        if work.is_asked or work.retry_at is not None:
            return []  # it failed, and is being asked why
        forms = work.intent.forms
        found = (view.receipts.get(form.tx_hash) for form in forms)
        receipt = next((each for each in found if each is not None), None)
        if receipt is not None:
            return self._mined(work, receipt, view)
        if work.state is State.MINED:
            self.stats.undone += 1
            work.state, work.receipt, work.is_accepted = State.SENT, None, False
            work.sent_head = None  # it waits anew
        nonce = work.intent.nonce
        assert nonce is not None, "what was handed in has a nonce"
        if view.nonce > nonce:
            return self._missing(work, view)
        work.missing_since = None
        return [] if work.is_sending else self._press(work, view, now)

    def _press(self, work: _Work, view: ChainView, now: float) -> list[Effect]:
        """Hand in again, dearer or as it was, what waits too long."""
        if self._is_stuck(work, view) and (replaced := self._replace(work, view, now)):
            return replaced
        if not work.is_accepted or now >= work.sent_at + self._config.resend_interval:
            self.stats.resent += 1
            return self._hand_in(work, view.head, now)
        return []

    def _mined(self, work: _Work, receipt: Receipt, view: ChainView) -> list[Effect]:
        key = work.intent.key
        effects: list[Effect] = []
        work.missing_since, work.problem = None, None
        if work.receipt != receipt:
            if work.receipt is not None:
                self.stats.undone += 1  # its block was replaced by one that has it too
            work.state, work.receipt = State.MINED, receipt
            effects.append(Mined(key, receipt))
        head = max(view.head, receipt.block_number)
        if head - receipt.block_number + 1 < self._config.confirmations:
            return effects
        if not receipt.is_success:  # a receipt does not say why; the same call now does, mostly
            return effects + self._estimate(work)
        del self._works[key]
        self.stats.confirmed += 1
        return [*effects, Persist(key, b""), Confirmed(key, receipt)]

    def _missing(self, work: _Work, view: ChainView) -> list[Effect]:
        """Decide about a transaction whose nonce was used, and that is in no block."""
        if work.missing_since is None or work.missing_since > view.head:
            work.missing_since = view.head
        waited = view.head - work.missing_since
        if waited < max(self._config.lost_blocks, self._config.confirmations):
            return []
        self.stats.overtaken += 1
        intent = work.intent
        intent.nonce, intent.gas_limit, intent.forms = None, None, []
        work.state, work.missing_since, work.is_accepted = State.WANTED, None, False
        work.sent_head = None
        return [Persist(intent.key, intent.encode()), *self._estimate(work)]

    def _is_stuck(self, work: _Work, view: ChainView) -> bool:
        """Tell whether the newest form should be replaced by a dearer one."""
        intent, newest = work.intent, work.intent.forms[-1]
        if intent.nonce != view.nonce or len(intent.forms) >= FORMS_MAX:
            return False  # it waits for another, which is dealt with itself
        if isinstance(work.problem, UnderpricedError):
            return True
        if work.sent_head is None or newest.fee_wei >= self._config.fee_max:
            return False
        return view.head - work.sent_head >= self._config.replace_blocks

    def _replace(self, work: _Work, view: ChainView, now: float) -> list[Effect]:
        newest, (fee, priority) = work.intent.forms[-1], self._fees(view.fees)
        raised = _PERCENT + self._config.fee_bump_percent
        fee = max(fee, -(-newest.fee_wei * raised // _PERCENT))
        if newest.priority_fee_wei is not None:
            priority = max(priority or 0, -(-newest.priority_fee_wei * raised // _PERCENT))
        fee = min(fee, self._config.fee_max)
        if fee <= newest.fee_wei:
            return []  # as dear as it may be; it waits
        self.stats.replaced += 1
        work.problem = None
        self._sign(work, fee, None if priority is None else min(priority, fee))
        return [
            Persist(work.intent.key, work.intent.encode()),
            *self._hand_in(work, view.head, now),
        ]

    def _sign_ready(self, view: ChainView, floor: int, now: float) -> list[Effect]:
        """Give nonces to what is ready, in order, as long as there is money and room."""
        effects: list[Effect] = []
        flying = [work for work in self._works.values() if work.state is State.SENT]
        used = {work.intent.nonce for work in flying}
        nonce = floor
        left = view.balance_wei - sum(map(_cost, flying))
        fee, priority = self._fees(view.fees)
        for work in list(self._works.values()):
            if work.state is not State.READY:
                continue
            if len(flying) >= self._config.in_flight_max:
                break
            while nonce in used:  # so a gap is filled first
                nonce += 1
            work.intent.nonce = nonce
            self._sign(work, fee, priority)
            cost = _cost(work)
            if cost > left:
                work.intent.nonce, work.intent.forms = None, []
                if flying:
                    break  # what is under way may cost less than it may cost
                effects += self._fail(
                    work, OutOfFundsError(needed_wei=cost, balance_wei=max(left, 0))
                )
                continue
            work.state = State.SENT
            flying.append(work)
            used.add(nonce)
            left -= cost
            effects.append(Persist(work.intent.key, work.intent.encode()))
            effects += self._hand_in(work, view.head, now)
        return effects

    def _close_gap(self, floor: int, now: float) -> list[Effect]:
        """Use a number that all under way wait for, and nobody has: with a payment of 0 to us.

        A chain that lost more blocks than are believed to stay took a transaction along that was
        forgotten here. What waits behind it keeps its number, so that nothing happens twice.
        """
        flying = [work for work in self._works.values() if work.state is State.SENT]
        nonces = [work.intent.nonce for work in flying if work.intent.nonce is not None]
        first = min(nonces, default=floor)
        waiting = any(w.state in {State.WANTED, State.READY} for w in self._works.values())
        if first <= floor or waiting:  # who waits for a number gets that
            self._gap_since = None
            return []
        if self._gap_since is None:
            self._gap_since = now
        if now < self._gap_since + self._config.resend_interval:
            return []  # a node that lags behind shows the same
        self._gap_since = None
        key = f"{_FILL} {floor}"
        self._works[key] = work = _Work(Intent(key, Call(self._key.address)), State.WANTED)
        return [Persist(key, work.intent.encode()), *self._estimate(work)]

    def _sign(self, work: _Work, fee: int, priority: int | None) -> None:
        intent = work.intent
        assert intent.nonce is not None
        assert intent.gas_limit is not None, "what is ready has both"
        signed = Transaction(
            chain_id=self._chain_id,
            nonce=intent.nonce,
            call=intent.call,
            gas_limit=intent.gas_limit,
            fee_wei=fee,
            priority_fee_wei=priority,
        ).sign(self._key)
        intent.forms.append(Form(signed.raw, signed.hash, fee, priority))
        work.sent_head, work.is_accepted = None, False

    def _hand_in(self, work: _Work, head: int, now: float) -> list[Effect]:
        form = work.intent.forms[-1]
        work.sent_at, work.is_sending = now, True
        if work.sent_head is None:
            work.sent_head = head
        self._broadcasting += 1
        return [Broadcast(work.intent.key, form.raw, form.tx_hash)]

    def _fees(self, fees: Fees) -> tuple[int, int | None]:
        """Return the fee to offer, and of it the priority; twice the base fee outlasts six blocks.

        Source: EIP-1559: the base fee rises by at most an eighth per block.
        """
        if fees.base_wei is None:
            return min(fees.priority_wei, self._config.fee_max), None
        fee = min(2 * fees.base_wei + fees.priority_wei, self._config.fee_max)
        return fee, min(fees.priority_wei, fee)

    def _fail(self, work: _Work, error: ChainError) -> list[Effect]:
        key = work.intent.key
        del self._works[key]
        self.stats.failed += 1
        return [Persist(key, b""), Failed(key, error)]

    def _delay(self, work: _Work, error: ChainError) -> list[Effect]:
        work.problem = error
        return [Delayed(work.intent.key, error)]


def _cost(work: _Work) -> int:
    """Return what a signed transaction costs at most."""
    intent = work.intent
    assert intent.gas_limit is not None, "what is signed has a gas limit"
    dearest = max((form.fee_wei for form in intent.forms), default=0)
    return intent.call.value_wei + intent.gas_limit * dearest
