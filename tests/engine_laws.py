"""What every engine promises, as checks that any engine's test can run.

Describe the engine by a `Case`, then

    @pytest.mark.parametrize("law", engine_laws.LAWS)
    def test_laws(law: engine_laws.Law) -> None:
        law(CASE)

Each law plays random scripts with three engines of the case that talk to one another: commands,
datagrams delivered, lost, repeated, damaged or made up, and time passing. So the laws hold in the
states that real traffic leads to, and not only at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeAlias, TypeVar, assert_never

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core import Address, Engine, Entropy, SendDatagram
from shoal.sim import SeededEntropy

E = TypeVar("E", bound=Engine)

ADDRESSES: Final = tuple(Address(bytes((203, 0, 113, last)), 4000 + last) for last in (1, 2, 3))
STRANGER: Final = Address(bytes((192, 0, 2, 9)), 9)
IN_FLIGHT_MAX: Final = 400  # datagrams kept by a script, then the oldest are lost
WAKES_MAX: Final = 5000  # per wait: more is a spinning engine


@dataclass(frozen=True)
class Case(Generic[E]):
    """An engine under the laws.

    Attributes:
        make: a fresh engine for the time 0.
        commands: things to ask of it; each takes the engine, an id for the operation, the
            addresses of all three engines, and now.
        datagrams: made-up input, best almost right.
        effects: all types of effects that it returns.
        sizes: what must stay bounded: its name, how large it is, how large it may be.
        mistakes: calls that must raise without changing anything.
        ended: the operation that an effect ends, or None. Then every command must end its id
            exactly once; commands that never end belong into `lasting`.
        lasting: as commands, for operations that go on.
        patience: seconds after which every operation has ended, with nobody answering.
        settings: how hard hypothesis tries.
        start: the first command of each engine, at the time 0.
        answer: what a driver does at once about an effect, other than sending; returns the
            effects of that.
    """

    make: Callable[[Entropy], E]
    commands: Sequence[Callable[[E, int, Sequence[Address], float], Sequence[object]]]
    datagrams: st.SearchStrategy[bytes]
    effects: tuple[type, ...]
    sizes: Callable[[E], Mapping[str, tuple[int, int]]]
    mistakes: Sequence[Callable[[E, float], object]] = ()
    ended: Callable[[object], int | None] | None = None
    lasting: Sequence[Callable[[E, int, Sequence[Address], float], Sequence[object]]] = ()
    patience: float = 60.0
    settings: settings = field(default_factory=settings)
    start: Callable[[E, Sequence[Address], float], Sequence[object]] | None = None
    answer: Callable[[E, object, float], Sequence[object]] | None = None


@dataclass(frozen=True)
class Command:
    """Ask an engine for something."""

    engine: int
    choice: int


@dataclass(frozen=True)
class MadeUp:
    """Hand an engine bytes that nobody sent."""

    engine: int
    datagram: bytes
    source: int  # one of the engines' addresses, or the stranger's


@dataclass(frozen=True)
class Deliver:
    """Deliver a datagram in flight, damaged at a byte if that is not None."""

    choice: int
    damage: int | None
    is_repeated: bool


@dataclass(frozen=True)
class Wait:
    """Let time pass, with every deadline met on the way."""

    seconds: float


@dataclass(frozen=True)
class Converse:
    """Deliver this many datagrams, oldest first, each after a tenth of a second."""

    count: int


Step: TypeAlias = Command | MadeUp | Deliver | Wait | Converse
Script: TypeAlias = list[Step]


def scripts(case: Case[E]) -> st.SearchStrategy[Script]:
    """Random scripts for *case*."""
    engine = st.integers(0, 2)
    random_bytes = st.binary(max_size=64)
    steps: list[st.SearchStrategy[Step]] = [
        st.builds(MadeUp, engine, case.datagrams | random_bytes, st.integers(0, 3)),
        st.builds(
            Deliver, st.integers(0, 99), st.none() | st.none() | st.integers(0, 999), st.booleans()
        ),
        st.builds(Converse, st.sampled_from((1, 5, 60))),
        st.builds(Wait, st.sampled_from((0.01, 0.3, 2.0, 40.0, 700.0))),
    ]
    if choices := len(case.commands) + len(case.lasting):
        steps.append(st.builds(Command, engine, st.integers(0, choices - 1)))
    return st.lists(st.one_of(steps), max_size=40)


Hook: TypeAlias = Callable[[E, float], None]


def _nothing(engine: Engine, now: float) -> None:
    """Do not meddle."""


@dataclass
class Player(Generic[E]):
    """Plays a script and writes down all effects. The hooks are where laws look and meddle."""

    case: Case[E]
    seed: int = 0
    now: float = 0.0
    transcript: list[tuple[int, list[object]]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    before: Hook[E] = _nothing
    after: Hook[E] = _nothing
    after_advance: Hook[E] = _nothing

    def __post_init__(self) -> None:
        self.engines = [self.case.make(SeededEntropy(self.seed, number)) for number in range(3)]
        self.in_flight: list[tuple[bytes, Address, Address]] = []
        if self.case.start is not None:
            for number, engine in enumerate(self.engines):
                self._note(number, self.case.start(engine, ADDRESSES, self.now))

    def play(self, script: Script) -> Player[E]:
        """Play *script* from here."""
        for step in script:
            match step:
                case Command(engine, choice):
                    self._command(engine, choice)
                case MadeUp(engine, datagram, source):
                    self._receive(engine, datagram, (*ADDRESSES, STRANGER)[source])
                case Deliver(choice, damage, is_repeated):
                    self._deliver(choice, damage, is_repeated=is_repeated)
                case Wait(seconds):
                    self._wait(self.now + seconds)
                case Converse(count):
                    for _ in range(count):
                        if not self.in_flight:
                            break
                        self._wait(self.now + 0.1)
                        self._deliver(0, None, is_repeated=False)
                case _:
                    assert_never(step)
        return self

    def _command(self, number: int, choice: int) -> None:
        op = len(self.transcript) + 1
        if choice < len(self.case.commands):
            self.asked.append(op)
        command = [*self.case.commands, *self.case.lasting][choice]
        engine = self.engines[number]
        self.before(engine, self.now)
        self._note(number, command(engine, op, ADDRESSES, self.now))

    def _receive(self, number: int, datagram: bytes, source: Address) -> None:
        engine = self.engines[number]
        self.before(engine, self.now)
        self._note(number, engine.receive(datagram, source, self.now))

    def _deliver(self, choice: int, damage: int | None, *, is_repeated: bool) -> None:
        if not self.in_flight:
            return
        place = choice % len(self.in_flight)
        datagram, source, target = self.in_flight[place]
        if not is_repeated:
            del self.in_flight[place]
        if damage is not None and datagram:
            spoilt = bytearray(datagram)
            spoilt[damage % len(spoilt)] ^= 1 + damage % 255
            datagram = bytes(spoilt)
        if target in ADDRESSES:
            self._receive(ADDRESSES.index(target), datagram, source)

    def _wait(self, until: float) -> None:
        for _ in range(WAKES_MAX):
            deadlines = [
                (engine.next_deadline(), number) for number, engine in enumerate(self.engines)
            ]
            due = [
                (when, number) for when, number in deadlines if when is not None and when <= until
            ]
            if not due:
                self.now = until
                return
            when, number = min(due)
            self.now = max(self.now, when)
            engine = self.engines[number]
            self.before(engine, self.now)
            self._note(number, engine.advance(self.now))
            self.after_advance(engine, self.now)
        pytest.fail(f"more than {WAKES_MAX} wake-ups until {until}")

    def _note(self, number: int, effects: Sequence[object]) -> None:
        self.transcript.append((number, list(effects)))
        for effect in effects:
            if isinstance(effect, SendDatagram):
                self.in_flight.append((effect.data, ADDRESSES[number], effect.addr))
            elif self.case.answer is not None:
                further = self.case.answer(self.engines[number], effect, self.now)
                if further:
                    self._note(number, further)
        del self.in_flight[:-IN_FLIGHT_MAX]
        self.after(self.engines[number], self.now)


def effects_are_of_the_declared_types(case: Case[E]) -> None:
    """Promise 1: each method returns a list, and in it only effects that the driver knows."""

    @case.settings
    @given(scripts(case), st.integers(0))
    def check(script: Script, seed: int) -> None:
        for _, effects in Player(case, seed).play(script).transcript:
            assert {type(effect) for effect in effects} <= set(case.effects)

    check()


def garbage_never_raises(case: Case[E]) -> None:
    """Promise 2: any bytes from anybody, in any state, are taken without an exception."""

    @case.settings
    @given(scripts(case), st.lists(st.binary(max_size=300) | case.datagrams), st.integers(0))
    def check(script: Script, garbage: list[bytes], seed: int) -> None:
        player = Player(case, seed).play(script)
        for number, datagram in enumerate(garbage):
            player.play([MadeUp(number % 3, datagram, number % 4)])

    check()


def mistakes_raise_and_change_nothing(case: Case[E]) -> None:
    """Promise 3: a wrong command raises, and the engine goes on as if it had not been given."""
    if not case.mistakes:
        return

    def blunder(engine: E, now: float) -> None:
        for mistake in case.mistakes:
            with pytest.raises(Exception):  # noqa: B017, PT011 - which one is the engine's affair
                mistake(engine, now)

    _same_with(case, before=blunder)


def next_deadline_is_pure(case: Case[E]) -> None:
    """Promise 4: asking for the deadline changes neither it nor anything else."""

    def ask(engine: E, now: float) -> None:
        assert engine.next_deadline() == engine.next_deadline()

    _same_with(case, before=ask, after=ask)


def advancing_early_is_harmless(case: Case[E]) -> None:
    """Promise 4: before the deadline, `advance` returns nothing and changes nothing."""

    def hurry(engine: E, now: float) -> None:
        deadline = engine.next_deadline()
        if deadline is None or deadline > now:
            assert list(engine.advance(now)) == []

    _same_with(case, before=hurry, after=hurry)


def advancing_twice_is_harmless(case: Case[E]) -> None:
    """Promise 4: a second `advance` at the same time returns nothing and changes nothing."""

    def again(engine: E, now: float) -> None:
        assert list(engine.advance(now)) == []

    _same_with(case, late=again)


def deadlines_move(case: Case[E]) -> None:
    """Promise 4: after `advance(next_deadline())` the deadline is later, or none."""

    def look(engine: E, now: float) -> None:
        deadline = engine.next_deadline()
        assert deadline is None or deadline > now

    @case.settings
    @given(scripts(case), st.integers(0))
    def check(script: Script, seed: int) -> None:
        Player(case, seed, after_advance=look).play([*script, Wait(1000.0)])

    check()


def limits_hold(case: Case[E]) -> None:
    """Promise 5: nothing grows past its limit, whatever arrives."""

    def measure(engine: E, now: float) -> None:
        for name, (size, limit) in case.sizes(engine).items():
            assert size <= limit, name

    @case.settings
    @given(scripts(case), st.lists(case.datagrams), st.integers(0))
    def check(script: Script, more: list[bytes], seed: int) -> None:
        player = Player(case, seed, after=measure).play(script)
        player.play([MadeUp(0, datagram, 3) for datagram in more * 4])

    check()


def operations_end_once(case: Case[E]) -> None:
    """Promise 6: an operation that ends says so once, under its id, however the network fares."""
    if case.ended is None:
        return
    ended = case.ended

    @case.settings
    @given(scripts(case), st.integers(0))
    def check(script: Script, seed: int) -> None:
        player = Player(case, seed).play([*script, Wait(case.patience)])
        ends = [ended(effect) for _, effects in player.transcript for effect in effects]
        for op in player.asked:
            assert ends.count(op) == 1, op

    check()


def equal_inputs_give_equal_outputs(case: Case[E]) -> None:
    """Promises 7 and 8: no clock and no chance of its own: the same script, the same effects."""
    _same_with(case)


def time_may_start_anywhere(case: Case[E]) -> None:
    """Promise 7: a far-away start of time changes no effect of made-up input, garbage included."""

    @case.settings
    @given(st.lists(st.binary(max_size=300) | case.datagrams), st.sampled_from((1e3, 1e6, 4e9)))
    def check(garbage: list[bytes], start: float) -> None:
        engine = case.make(SeededEntropy(1))
        list(engine.advance(start))
        for datagram in garbage:
            list(engine.receive(datagram, STRANGER, start))
        deadline = engine.next_deadline()
        assert deadline is None or deadline > 0.0

    check()


def _same_with(
    case: Case[E],
    *,
    before: Hook[E] = _nothing,
    after: Hook[E] = _nothing,
    late: Hook[E] = _nothing,
) -> None:
    """Check that a run with these hooks writes the same transcript as a run without."""

    @case.settings
    @given(scripts(case), st.integers(0))
    def check(script: Script, seed: int) -> None:
        plain = Player(case, seed).play(script)
        meddled = Player(case, seed, before=before, after=after, after_advance=late).play(script)
        assert meddled.transcript == plain.transcript

    check()


Law: TypeAlias = Callable[[Case[E]], None]
LAWS: Final[tuple[Law[Engine], ...]] = (
    effects_are_of_the_declared_types,
    garbage_never_raises,
    mistakes_raise_and_change_nothing,
    next_deadline_is_pure,
    advancing_early_is_harmless,
    advancing_twice_is_harmless,
    deadlines_move,
    limits_hold,
    operations_end_once,
    equal_inputs_give_equal_outputs,
    time_may_start_anywhere,
)
