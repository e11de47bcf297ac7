"""The port mapper keeps the promises of engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from shoal.core import Address, Entropy, SendDatagram
from shoal.net.mapping import natpmp
from shoal.net.mapping.effects import AskOverHttp, Effect, Mapped, MappingFailed
from shoal.net.mapping.engine import HTTP_PENDING_MAX, MAPPINGS_MAX, MapperEngine
from shoal.net.mapping.errors import MappingError, TooManyMappingsError
from tests import engine_laws
from tests.engine_laws import ADDRESSES
from tests.unit.net.mapping import samples

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL: Final = Address(bytes([192, 168, 1, 2]), 4444)
DOCUMENTS: Final = (
    samples.description(),
    samples.result(NewExternalIPAddress="44.128.0.1"),
    samples.fault(718),
    None,
)


@dataclass(frozen=True)
class Lost:
    """A mapping that failed."""

    id: int
    kind: type[MappingError]


class Mapper(MapperEngine):
    """A mapper whose gateway is another engine's address; HTTP is answered by turns."""

    def __init__(self, entropy: Entropy) -> None:
        super().__init__(entropy, ADDRESSES[0].ip)
        assert self._natpmp is not None
        self._natpmp.addr = ADDRESSES[0]
        self.answers = 0

    def _take(self) -> list[Effect]:
        """Hand out failures that equal others of the same kind: exceptions do not."""
        comparable: list[Any] = []
        for each in super()._take():
            if isinstance(each, MappingFailed):
                comparable.append(Lost(each.id, type(each.error)))
            else:
                comparable.append(each)
        return comparable

    def size(self) -> Mapping[str, tuple[int, int]]:
        """Return what is bounded."""
        return {
            "mappings": (len(self._mappings), MAPPINGS_MAX),
            "exchanges": (len(self._waiting), HTTP_PENDING_MAX),
        }


def wish(engine: Mapper, op: int, addresses: object, now: float) -> list[Effect]:
    """Ask for a port."""
    try:
        return engine.map(op, LOCAL._replace(port=4000 + op % 9), now, is_tcp=bool(op % 2))
    except TooManyMappingsError:
        return []


def give_back(engine: Mapper, op: int, addresses: object, now: float) -> list[Effect]:
    """Give some earlier one back."""
    return engine.unmap(op - 1, now)


def begin(engine: Mapper, addresses: object, now: float) -> list[Effect]:
    """Search."""
    return engine.start(now)


def answer(engine: Mapper, effect: object, now: float) -> list[Effect]:
    """Answer HTTP with something."""
    if not isinstance(effect, AskOverHttp):
        return []
    engine.answers += 1
    return engine.http_answered(effect.id, DOCUMENTS[engine.answers % len(DOCUMENTS)], now)


CASE: Final = engine_laws.Case(
    make=Mapper,
    commands=(),
    lasting=(wish, give_back),
    datagrams=st.one_of(
        st.just(samples.public_address()),
        st.just(samples.ANSWER),
        st.builds(
            samples.natpmp_mapping,
            st.integers(4000, 4009),
            st.integers(0, 65_535),
            lifetime=st.sampled_from([0, 60, 3600]),
            result=st.sampled_from([0, 0, 2]),
            epoch=st.sampled_from([1, 100, 100_000]),
        ),
        st.just(natpmp.ask_public_address()),
    ),
    effects=(SendDatagram, AskOverHttp, Mapped, Lost),
    sizes=Mapper.size,
    start=begin,
    answer=answer,
    settings=settings(deadline=None, max_examples=25),
)


@pytest.mark.parametrize("law", engine_laws.LAWS)
def test_laws(law: engine_laws.Law[Mapper]) -> None:
    """Each law of engines."""
    law(CASE)
