"""The ICE engine, over UDP, keeps the promises of engines."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from shoal.core import Address, Entropy, SendDatagram
from shoal.net import stun
from shoal.net.ice import IceConfig, IceDescription, IceEngine, Transport, binding
from shoal.net.ice.checklist import INCOMING_MAX, PAIRS_MAX
from shoal.net.ice.effects import (
    CloseSocket,
    Effect,
    Failed,
    Gathered,
    Listen,
    Received,
    Selected,
    SendFrom,
)
from shoal.net.ice.errors import IceError, IceStateError
from tests import engine_laws
from tests.engine_laws import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shoal.net.ice import PairReport


class Agent:
    """An engine with one socket, as a node on a wire of datagrams."""

    def __init__(self, entropy: Entropy) -> None:
        is_controlling = bool(entropy.below(2))
        config = IceConfig(transport=Transport.UDP, guesses_ports=False)
        self.engine = IceEngine(config, entropy, is_controlling=is_controlling)
        self._socket = 0

    def begin(self, addresses: Sequence[Address], now: float) -> list[object]:
        """Gather, at the address that fits to who we are."""
        effects = self.engine.gather([addresses[0].ip], [], now)
        self._socket = next(each.socket for each in effects if isinstance(each, Listen))
        return [*effects, *self.engine.socket_opened(self._socket, addresses[0], now)]

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[object]:
        """Take a datagram."""
        return self._wired(self.engine.receive_datagram(self._socket, datagram, addr, now))

    def next_deadline(self) -> float | None:
        """The engine's."""
        return self.engine.next_deadline()

    def advance(self, now: float) -> list[object]:
        """The engine's."""
        return self._wired(self.engine.advance(now))

    def start_with(self, addresses: Sequence[Address], now: float) -> list[object]:
        """Check paths to all three, with credentials that everybody shares."""
        lines = [
            f"H1 1 UDP {9 - n} {each.host} {each.port} typ host" for n, each in enumerate(addresses)
        ]
        text = "\n".join([UFRAG, PWD, *lines])
        with contextlib.suppress(IceStateError):
            return self._wired(self.engine.start(IceDescription.parse(text), now))
        return []

    def send(self, now: float) -> list[object]:
        """Send data, if there is a path."""
        with contextlib.suppress(IceStateError):
            return self._wired(self.engine.send(b"data", now))
        return []

    def size(self) -> Mapping[str, tuple[int, int]]:
        """Return what is bounded."""
        return {
            "pairs": (len(self.engine.pairs()), PAIRS_MAX + INCOMING_MAX),
            "sockets": (len(self.engine.open_sockets), 1),
        }

    def _wired(self, effects: Sequence[Effect]) -> list[object]:
        return [_comparable(each) for each in effects]


@dataclass(frozen=True)
class Lost:
    """A failure that equals another one of the same kind: exceptions do not."""

    kind: type[IceError]
    pairs: tuple[PairReport, ...]


def _comparable(effect: Effect) -> object:
    match effect:
        case SendFrom(_, data, addr):
            return SendDatagram(data, addr)
        case Failed(error):
            return Lost(type(error), error.pairs)
        case _:
            return effect


UFRAG: Final = "0badcafe"
PWD: Final = "0123456789abcdef01234567"  # noqa: S105 - of this test


def make(entropy: Entropy) -> Agent:
    """Return an agent whose credentials are the common ones, so that any two may connect."""
    agent = Agent(entropy)
    agent.engine.ufrag = agent.engine._checklist._ufrag = UFRAG  # noqa: SLF001
    agent.engine.pwd = agent.engine._checklist._pwd = PWD  # noqa: SLF001
    return agent


def checks(is_controlling: bool, nominates: bool, tie_breaker: int) -> bytes:
    """Return a check by somebody who knows the password."""
    return binding.request(
        bytes(12),
        binding.Credentials(UFRAG, PWD, UFRAG, PWD),
        priority=1,
        is_controlling=is_controlling,
        tie_breaker=tie_breaker,
        nominates=nominates,
    )


def mistake(agent: Agent, now: float) -> object:
    """Gather twice."""
    return agent.engine.gather([], [], now)


CASE: Final = engine_laws.Case(
    make=make,
    commands=(),
    lasting=(
        lambda agent, op, addresses, now: agent.start_with(addresses, now),
        lambda agent, op, addresses, now: agent.send(now),
    ),
    datagrams=st.builds(checks, st.booleans(), st.booleans(), st.sampled_from([0, 2**64 - 1]))
    | st.just(binding.success(bytes(12), ADDRESSES[0], PWD))
    | st.just(stun.COOKIE * 8),
    effects=(SendDatagram, Listen, CloseSocket, Gathered, Selected, Received, Lost),
    sizes=Agent.size,
    mistakes=(mistake,),
    start=Agent.begin,
    settings=settings(deadline=None, max_examples=25),
)


@pytest.mark.parametrize("law", engine_laws.LAWS)
def test_laws(law: engine_laws.Law[Agent]) -> None:
    """Each law of engines."""
    law(CASE)


def test_the_scripts_reach_a_path() -> None:
    """The laws are checked in the states that matter: two of the agents connect."""
    player = engine_laws.Player(CASE, seed=1)
    player.play([engine_laws.Command(0, 0), engine_laws.Command(1, 0), engine_laws.Converse(60)])
    selected = [each for _, effects in player.transcript for each in effects]
    assert any(isinstance(each, Selected) for each in selected)
