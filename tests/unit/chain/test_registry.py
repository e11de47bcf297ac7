"""The registry: its calls and events, and on a virtual machine the invariants of the contract."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from shoal.chain import abi
from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash
from shoal.chain.errors import Refusal, RegistryRefusedError, RevertedError
from shoal.chain.registry import (
    NameReleased,
    NameReserved,
    NameTransferred,
    Registry,
    RegistryEvent,
    Reservation,
    evidence_of,
    is_name,
    pack_name,
    refusal_of,
    unpack_name,
)
from shoal.chain.values import Log
from shoal.core import AccountId, DecodeError
from tests.unit.chain.machine import Machine
from tests.unit.chain.strategies import (
    LETTERS,
    accounts,
    hashes,
    logs,
    names,
    reservations,
)

if TYPE_CHECKING:
    from shoal.chain.values import Call

REGISTRY = Registry()
ALICE = Reservation("alice", AccountId(bytes([1]) * 20), b"a key", b"a signature")
EMPTY_LOG = Log(REGISTRY.address, (), b"", 1, BlockHash(bytes(32)), TransactionHash(bytes(32)), 0)
PEOPLE = [ChainAddress(bytes([number]) * 20) for number in range(1, 4)]


@given(names)
def test_names_are_words(name: str) -> None:
    """A name is one word of the chain, and back."""
    assert is_name(name)
    assert unpack_name(pack_name(name)) == name


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 33, "Alice", "al ice", "älice", "ali.ce", "abc\n"]
)
def test_what_is_no_name(name: str) -> None:
    """Too short, too long, other characters; before it reaches the chain."""
    assert not is_name(name)
    with pytest.raises(RegistryRefusedError) as refused:
        REGISTRY.register(replace(ALICE, name=name))
    assert refused.value.refusal is Refusal.BAD_NAME
    with pytest.raises(RegistryRefusedError):
        pack_name(name)


@given(st.binary(max_size=40))
def test_any_word_is_a_name_or_refused(word: bytes) -> None:
    """And if it is one, the only word for it."""
    try:
        name = unpack_name(word)
    except DecodeError:
        return
    assert pack_name(name) == word


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"account": AccountId(bytes(20))}, Refusal.BAD_ACCOUNT),
        ({"owner": ChainAddress(bytes(20))}, Refusal.BAD_OWNER),
        ({"public_key": b""}, Refusal.NO_EVIDENCE),
        ({"public_key": bytes(2049)}, Refusal.NO_EVIDENCE),
        ({"signature": b""}, Refusal.NO_EVIDENCE),
        ({"signature": bytes(1025)}, Refusal.NO_EVIDENCE),
    ],
)
def test_what_would_be_refused_is_not_sent(change: dict[str, object], refusal: Refusal) -> None:
    """The same reasons as the contract's."""
    with pytest.raises(RegistryRefusedError) as refused:
        REGISTRY.register(replace(ALICE, **change))  # type: ignore[arg-type]
    assert refused.value.refusal is refusal


@given(logs)
def test_any_log_is_an_event_or_refused(log: Log) -> None:
    """Whatever a chain shows: an event, nothing, or DecodeError."""
    kinds = [abi.topic("NameReserved(bytes32,bytes20,address,bytes,bytes)"), *log.topics[:1]]
    for kind in kinds:
        ours = replace(log, address=REGISTRY.address, topics=(kind, *log.topics[1:]))
        try:
            REGISTRY.event(ours)
        except DecodeError:
            continue
    assert REGISTRY.event(log) is None or log.address == REGISTRY.address


@given(st.binary(max_size=200))
def test_any_answer_is_read_or_refused(answer: bytes) -> None:
    """What a node returns for a call."""
    for read in (lambda: REGISTRY.record("alice", answer), lambda: REGISTRY.name(answer)):
        try:
            read()
        except DecodeError:
            continue
    assert not REGISTRY.is_version(answer)


def test_reasons_become_refusals() -> None:
    """Known reasons are typed; others stay what they are."""
    known = refusal_of(RevertedError("name taken", b"data"))
    assert isinstance(known, RegistryRefusedError)
    assert (known.refusal, known.data) == (Refusal.NAME_TAKEN, b"data")
    other = RevertedError("something else")
    assert refusal_of(other) is other


@given(reservation=reservations, sender=st.sampled_from(PEOPLE))
@settings(max_examples=30)
def test_what_is_reserved_is_found(reservation: Reservation, sender: ChainAddress) -> None:
    """Record, reverse record and event say what was asked for."""
    machine = Machine()
    log = machine.run(REGISTRY.register(reservation), sender).logs[0]
    name, owner = reservation.name, reservation.owner or sender

    record = REGISTRY.record(name, machine.ask(REGISTRY.lookup(name)))
    event = REGISTRY.event(log)
    assert record is not None
    assert isinstance(event, NameReserved)
    assert (record.account, record.owner) == (reservation.account, owner)
    assert record.block_number == event.block_number == machine.number
    assert record.evidence == evidence_of(reservation.public_key, reservation.signature)
    assert (event.public_key, event.signature) == (reservation.public_key, reservation.signature)
    assert (event.name, event.account, event.owner) == (name, reservation.account, owner)
    assert REGISTRY.name(machine.ask(REGISTRY.reverse(reservation.account))) == name
    assert log.topics[:2] == REGISTRY.topics_of(name)


@given(st.text(LETTERS + "ABZ .ä\0", max_size=40))
def test_the_contract_has_the_same_rules(name: str) -> None:
    """Python and contract agree on each text, whoever is asked."""
    machine = Machine()
    call = REGISTRY.lookup(name)
    if is_name(name):
        assert REGISTRY.record(name, machine.ask(call)) is None
    else:
        with pytest.raises(RevertedError):
            machine.ask(call)


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (replace(ALICE, account=AccountId(bytes([9]) * 20)), Refusal.NAME_TAKEN),
        (replace(ALICE, name="alice2"), Refusal.ACCOUNT_HAS_NAME),
        (ALICE, Refusal.NAME_TAKEN),
    ],
)
def test_what_the_contract_refuses(asked: Reservation, refusal: Refusal) -> None:
    """First come, first served; one name per account; also for the owner."""
    machine = Machine()
    machine.run(REGISTRY.register(ALICE), PEOPLE[0])
    with pytest.raises(RevertedError) as refused:
        machine.run(REGISTRY.register(asked), PEOPLE[0])
    assert refused.value.reason == refusal.value


@pytest.mark.parametrize(
    ("signature", "values", "refusal"),
    [
        ("reserve(string,bytes20,bytes,bytes)", ("Bad", b"\1" * 20, b"k", b"s"), Refusal.BAD_NAME),
        (
            "reserve(string,bytes20,bytes,bytes)",
            ("abc", bytes(20), b"k", b"s"),
            Refusal.BAD_ACCOUNT,
        ),
        (
            "reserve(string,bytes20,bytes,bytes)",
            ("abc", b"\1" * 20, b"", b"s"),
            Refusal.NO_EVIDENCE,
        ),
        (
            "reserve(string,bytes20,bytes,bytes)",
            ("abc", b"\1" * 20, b"k", b""),
            Refusal.NO_EVIDENCE,
        ),
        (
            "reserveFor(string,bytes20,address,bytes,bytes)",
            ("abc", b"\1" * 20, ChainAddress(bytes(20)), b"k", b"s"),
            Refusal.BAD_OWNER,
        ),
        ("transfer(string,address)", ("abc", PEOPLE[0]), Refusal.NO_SUCH_NAME),
        ("transfer(string,address)", ("alice", ChainAddress(bytes(20))), Refusal.BAD_OWNER),
        ("release(string)", ("abc",), Refusal.NO_SUCH_NAME),
    ],
)
def test_the_contract_checks_itself(
    signature: str, values: tuple[abi.Value, ...], refusal: Refusal
) -> None:
    """Calls that `Registry` would not make are refused by the contract."""
    machine = Machine()
    machine.run(REGISTRY.register(ALICE), PEOPLE[0])
    call = replace(REGISTRY.version(), data=abi.encode_call(signature, *values))
    with pytest.raises(RevertedError) as refused:
        machine.run(call, PEOPLE[0])
    assert refused.value.reason == refusal.value


class RegistryMachine(RuleBasedStateMachine):
    """The contract beside a model of it: two dictionaries."""

    taken = Bundle("taken")

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine()
        self.names: dict[str, tuple[AccountId, ChainAddress]] = {}
        self.of_account: dict[AccountId, str] = {}
        self.events: list[RegistryEvent] = []

    @rule(
        target=taken,
        name=st.sampled_from(["abc", "abcd", "a-b_9", "z" * 32, "zz-"]),
        account=st.sampled_from([AccountId(bytes([number]) * 20) for number in range(1, 5)]),
        sender=st.sampled_from(PEOPLE),
        owner=st.none() | st.sampled_from(PEOPLE),
    )
    def reserve(
        self, name: str, account: AccountId, sender: ChainAddress, owner: ChainAddress | None
    ) -> str:
        """It succeeds just where neither name nor account have a partner."""
        asked = Reservation(name, account, b"key", b"signature", owner)
        reason = None
        if name in self.names:
            reason = Refusal.NAME_TAKEN
        elif account in self.of_account:
            reason = Refusal.ACCOUNT_HAS_NAME
        self.play(REGISTRY.register(asked), sender, reason)
        if reason is None:
            self.names[name] = (account, owner or sender)
            self.of_account[account] = name
        return name

    @rule(name=taken, sender=st.sampled_from(PEOPLE), owner=st.sampled_from(PEOPLE))
    def transfer(self, name: str, sender: ChainAddress, owner: ChainAddress) -> None:
        """Only the owner can."""
        if self.play(REGISTRY.transfer(name, owner), sender, self.right(name, sender)):
            self.names[name] = (self.names[name][0], owner)

    @rule(name=taken, sender=st.sampled_from(PEOPLE))
    def release(self, name: str, sender: ChainAddress) -> None:
        """Only the owner can; name and account are free again."""
        if self.play(REGISTRY.release(name), sender, self.right(name, sender)):
            account, _ = self.names.pop(name)
            del self.of_account[account]

    def right(self, name: str, sender: ChainAddress) -> Refusal | None:
        """Return why *sender* may not change *name*."""
        if name not in self.names:
            return Refusal.NO_SUCH_NAME
        return None if self.names[name][1] == sender else Refusal.NOT_OWNER

    def play(self, call: Call, sender: ChainAddress, refusal: Refusal | None) -> bool:
        """Run *call*, which is refused just if it should be."""
        if refusal is not None:
            with pytest.raises(RevertedError) as refused:
                self.machine.run(call, sender)
            assert refused.value.reason == refusal.value
            return False
        receipt = self.machine.run(call, sender)
        assert len(receipt.logs) == 1
        event = REGISTRY.event(receipt.logs[0])
        assert event is not None
        self.events.append(event)
        return True

    @invariant()
    def state_is_the_models(self) -> None:
        """Each name has its account and owner, each account its name, and nothing else is there."""
        for name in ("abc", "abcd", "a-b_9", "z" * 32, "zz-"):
            record = REGISTRY.record(name, self.machine.ask(REGISTRY.lookup(name)))
            found = None if record is None else (record.account, record.owner)
            assert found == self.names.get(name)
        for number in range(1, 5):
            account = AccountId(bytes([number]) * 20)
            name_found = REGISTRY.name(self.machine.ask(REGISTRY.reverse(account)))
            assert name_found == self.of_account.get(account)

    @invariant()
    def events_tell_everything(self) -> None:
        """An index built of the events alone is the state."""
        index: dict[str, tuple[AccountId, ChainAddress]] = {}
        for event in self.events:
            match event:
                case NameReserved():
                    assert event.name not in index
                    index[event.name] = (event.account, event.owner)
                case NameTransferred():
                    index[event.name] = (index[event.name][0], event.owner)
                case NameReleased():
                    assert index.pop(event.name) == (event.account, event.owner)
        assert index == self.names


TestRegistryMachine = RegistryMachine.TestCase
TestRegistryMachine.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


GAS_MAX = {"reserve": 150_000, "transfer": 40_000, "release": 40_000}  # docs name the figures


def test_gas_is_what_the_documentation_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Upper bounds, with evidence of the sizes of RSA-4096; `pytest -s` prints the figures."""
    machine = Machine()
    asked = replace(ALICE, public_key=b"k" * 550, signature=b"s" * 512)
    used = {
        "reserve": machine.run(REGISTRY.register(asked), PEOPLE[0]).gas_used,
        "transfer": machine.run(REGISTRY.transfer("alice", PEOPLE[1]), PEOPLE[0]).gas_used,
        "release": machine.run(REGISTRY.release("alice"), PEOPLE[1]).gas_used,
    }
    with capsys.disabled():
        print("gas:", used)  # noqa: T201 - figures for the documentation

    for what, gas in used.items():
        assert gas <= GAS_MAX[what], what


@given(accounts, hashes)
def test_ids_of_other_kinds_are_not_mixed(account: AccountId, word: bytes) -> None:
    """An account in a topic is left-aligned; what is behind it does not count."""
    kind = abi.topic("NameReleased(bytes32,bytes20,address)")
    padded = bytes(12) + PEOPLE[0]
    log = replace(EMPTY_LOG, topics=(kind, pack_name("alice"), account + word[:12], padded))
    event = REGISTRY.event(log)

    assert isinstance(event, NameReleased)
    assert (event.account, event.owner) == (account, PEOPLE[0])
