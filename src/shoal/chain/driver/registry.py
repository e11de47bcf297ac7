"""The registry of names on a chain, for asyncio."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.chain.errors import (
    ChainProtocolError,
    ChainUnreachableError,
    NotDeployedError,
    Refusal,
    RegistryRefusedError,
    RevertedError,
)
from shoal.chain.following import Applied, AskBlock, AskHead, AskLogs, Follower, Place, Undone
from shoal.chain.registry import (
    GENESIS_ADDRESS,
    NameReserved,
    Registry,
    evidence_of,
    is_name,
    refusal_of,
)
from shoal.core import AccountId, DecodeError
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from shoal.chain.addresses import ChainAddress, TransactionHash
    from shoal.chain.backend import Chain
    from shoal.chain.driver.sender import TransactionSender
    from shoal.chain.following import Answer, Question, Step
    from shoal.chain.registry import NameRecord, RegistryEvent, Reservation
    from shoal.chain.values import Call, Log, Receipt

_log = logging.getLogger(__name__)

FOLLOW_PATIENCE: Final = 30.0  # seconds; ours: a look at the chain even where nothing moves


@dataclass(frozen=True, slots=True)
class NameEntry:
    """All that the chain says of a name.

    Whether the signature is right is not the chain's business: verify it.
    """

    name: str
    account: AccountId
    owner: ChainAddress
    public_key: bytes
    signature: bytes
    block_number: int
    tx_hash: TransactionHash


@dataclass(frozen=True, slots=True)
class EventsRead:
    """The registry's events of some blocks, in order, up to *place*."""

    events: tuple[RegistryEvent, ...]
    from_block: int
    place: Place


FollowStep: TypeAlias = EventsRead | Undone


class RegistryClient:
    """Reads the registry, and writes to it where there is a *sender*."""

    def __init__(
        self,
        chain: Chain,
        address: ChainAddress = GENESIS_ADDRESS,
        *,
        sender: TransactionSender | None = None,
    ) -> None:
        self.chain = chain
        self.registry = Registry(address)
        self.malformed = 0  # logs under the registry's address that it would not write
        self._sender = sender

    async def check(self) -> None:
        """See that there is a registry of ours.

        Raises:
            NotDeployedError: there is none at this address.
        """
        address = self.registry.address
        try:
            answer = await self.chain.call(self.registry.version())
        except RevertedError as error:
            raise NotDeployedError(f"at {address} is another contract") from error
        if not self.registry.is_version(answer):
            raise NotDeployedError(f"at {address} is no registry of names")

    # Reading.

    async def record(self, name: str) -> NameRecord | None:
        """Return owner and account of a name, or None if it is free; not its key: `lookup` does."""
        if not is_name(name):
            return None
        answer = await self.chain.call(self.registry.lookup(name))
        try:
            return self.registry.record(name, answer)
        except DecodeError as error:
            raise NotDeployedError(f"at {self.registry.address}: {error}") from error

    async def lookup(self, name: str) -> NameEntry | None:
        """Return all about a name, or None if it is free."""
        record = await self.record(name)
        if record is None:
            return None
        number = record.block_number
        logs = await self.chain.logs(
            self.registry.address, number, number, self.registry.topics_of(name)
        )
        for event in self._events(logs):
            if isinstance(event, NameReserved) and record.evidence == evidence_of(
                event.public_key, event.signature
            ):
                return _entry(event, record.owner)
        raise ChainProtocolError(f"block {number} lacks the event that {name} was taken by")

    async def reverse(self, account: AccountId) -> str | None:
        """Return the name of an account, or None if it has none."""
        answer = await self.chain.call(self.registry.reverse(account))
        try:
            return self.registry.name(answer)
        except DecodeError as error:
            raise NotDeployedError(f"at {self.registry.address}: {error}") from error

    async def events(self, from_block: int, to_block: int | None = None) -> list[RegistryEvent]:
        """Return the registry's events in these blocks, both included, in order."""
        if to_block is None:
            to_block = await self.chain.block_number()
        return self._events(await self.chain.logs(self.registry.address, from_block, to_block))

    async def follow(
        self, from_block: int = 0, *, confirmations: int = 1, places: Iterable[Place] = ()
    ) -> AsyncGenerator[FollowStep]:
        """Yield what happens, from *from_block* or behind *places* on, for ever.

        `EventsRead` has the events of the next blocks, none mostly; keep its *place* with what you
        make of them, and hand the last hundred places in the next time. `Undone` takes back what
        blocks from a number on said.

        Raises:
            ChainError: the chain does not answer; begin again later with the same places.
        """
        follower = Follower(from_block, confirmations=confirmations, places=places)
        while True:
            head = await self.chain.block_number()
            step = await self._round(follower)
            match step:
                case None:
                    await self.chain.wait_block(head, FOLLOW_PATIENCE)
                case Applied(start, place, logs):
                    yield EventsRead(tuple(self._events(logs)), start, place)
                case Undone():
                    yield step

    # Writing.

    async def register(self, reservation: Reservation) -> NameEntry:
        """Take a name; return when that is final.

        The same reservation again, at any time, joins or finds what was begun, and is not paid for
        twice. Who stops waiting stops nothing.

        Raises:
            RegistryRefusedError: the name is taken by others, the account has another name, or the
                chain refuses the name itself.
            OutOfFundsError: whoever pays cannot.
            TransactionError: it did not happen, and will not.
            ChainUnreachableError: never: it waits until the chain answers.
        """
        assert self._sender is not None, "writing takes a sender"
        call = self.registry.register(reservation)
        key = _key(reservation)
        if key not in self._sender:
            try:
                if (entry := await self._found(reservation)) is not None:
                    return entry
            except ChainUnreachableError as error:
                _log.info("= %s cannot be looked up now: %s", reservation.name, error)
        try:
            receipt = await self._submit(key, call)
        except RegistryRefusedError:
            # An earlier form of the same may have been taken, and its receipt overlooked.
            if (entry := await self._found(reservation)) is None:
                raise
            return entry
        for event in self._events(receipt.logs):
            if isinstance(event, NameReserved):
                return _entry(event, event.owner)
        raise ChainProtocolError("the transaction succeeded, and its receipt has no event")

    async def transfer(self, name: str, owner: ChainAddress) -> Receipt:
        """Hand a name that the sender owns to another owner.

        Raises:
            TransactionError: it did not happen, and will not.
        """
        key = f"transfer:{name}:{owner}"
        return await self._submit(key, self.registry.transfer(name, owner))

    async def release(self, name: str) -> Receipt:
        """Give up a name that the sender owns.

        Raises:
            TransactionError: it did not happen, and will not.
        """
        return await self._submit(f"release:{name}", self.registry.release(name))

    async def _submit(self, key: str, call: Call) -> Receipt:
        assert self._sender is not None, "writing takes a sender"
        try:
            return await self._sender.submit(key, call)
        except RevertedError as error:
            raise refusal_of(error) from error

    async def _found(self, asked: Reservation) -> NameEntry | None:
        """Return the entry if it is just what is asked for; None if the name is free.

        Raises:
            RegistryRefusedError: others have the name.
        """
        entry = await self.lookup(asked.name)
        if entry is None:
            return None
        assert self._sender is not None, "writing takes a sender"
        owner = asked.owner or self._sender.address
        wanted = (asked.account, owner, asked.public_key, asked.signature)
        if (entry.account, entry.owner, entry.public_key, entry.signature) == wanted:
            return entry
        raise RegistryRefusedError(Refusal.NAME_TAKEN)

    async def _round(self, follower: Follower) -> Step | None:
        questions = follower.round()
        answer: Answer = None
        while True:
            try:
                question = questions.send(answer)
            except StopIteration as end:
                step: Step | None = end.value
                return step
            answer = await self._ask(question)

    async def _ask(self, question: Question) -> Answer:
        match question:
            case AskHead():
                return await self.chain.block_number()
            case AskBlock(number):
                return await self.chain.block(number)
            case AskLogs(start, end):
                return await self.chain.logs(self.registry.address, start, end)

    def _events(self, logs: Iterable[Log]) -> list[RegistryEvent]:
        events = []
        for log in logs:
            try:
                event = self.registry.event(log)
            except DecodeError as error:
                self.malformed += 1
                _log.warning("! block %d, log %d: %s", log.block_number, log.index, error)
                continue
            if event is not None:
                events.append(event)
        return events


def _entry(event: NameReserved, owner: ChainAddress) -> NameEntry:
    return NameEntry(
        name=event.name,
        account=event.account,
        owner=owner,
        public_key=event.public_key,
        signature=event.signature,
        block_number=event.block_number,
        tx_hash=event.tx_hash,
    )


def _key(asked: Reservation) -> str:
    """Return what names the intent: all that is asked for."""
    digest = hashlib.sha256(asked.account)
    for part in (asked.owner or b"", asked.public_key, asked.signature):
        digest.update(len(part).to_bytes(8) + part)
    return f"register:{asked.name}:{digest.hexdigest()}"
