"""Where canaries are put, and how often."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from shoal.dht.pht import canaries as pht_canaries
from shoal.dht.pht.canaries import CANARY_INTERVAL, Canaries
from shoal.dht.pht.effects import PutNode
from shoal.dht.pht.entry import canary
from shoal.dht.pht.prefix import Prefix

if TYPE_CHECKING:
    import pytest

    from shoal.dht.pht.effects import PhtEffect

PATH = Prefix.whole(b"\xa5\x5a")


class Coin:
    """Entropy whose coin falls as told."""

    def __init__(self, *faces: int) -> None:
        self._faces = list(faces)

    def token_bytes(self, length: int) -> bytes:
        """Return zeros."""
        return bytes(length)

    def below(self, bound: int) -> int:
        """Return the next face."""
        return self._faces.pop(0) if self._faces else 0

    def uniform(self, low: float, high: float) -> float:
        """Return the lower bound."""
        return low


def canaries(*faces: int) -> Canaries:
    """Return a marker whose coin falls like this, then tails for ever."""
    return Canaries(canary("test", 1), itertools.count(1), Coin(*faces))


def marked(effects: list[PhtEffect]) -> list[Prefix]:
    """Return the nodes that puts go to."""
    nodes = [PATH.cut(n) for n in range(17)]
    nodes += [node.sibling() for node in nodes[1:]]
    by_key = {node.key: node for node in nodes}
    return [by_key[effect.key] for effect in effects if isinstance(effect, PutNode)]


def test_all_nodes_above_are_marked_and_the_sibling() -> None:
    """Down from the node itself to the root, which has no sibling."""
    nodes = [PATH.cut(n) for n in (3, 2, 1, 0)]
    assert marked(canaries().mark_path(PATH, 3, 3, 0.0)) == [
        nodes[0],
        nodes[0].sibling(),
        *nodes[1:],
    ]
    assert marked(canaries().mark_path(PATH, 0, 0, 0.0)) == [PATH.cut(0)]


def test_chance_decides_how_far_up_siblings_are_marked() -> None:
    """Each with probability one half, if the one below was."""
    found = marked(canaries(1, 0, 1).mark_path(PATH, 3, 3, 0.0))
    siblings = [PATH.cut(n).sibling() for n in (3, 2, 1)]
    assert [sibling in found for sibling in siblings] == [True, True, False]


def test_a_split_marks_the_siblings_down_to_the_leaf() -> None:
    """Whatever chance says."""
    found = marked(canaries().mark_path(PATH, 2, 5, 0.0))
    assert [PATH.cut(n).sibling() in found for n in (5, 4, 3, 2, 1)] == [True] * 4 + [False]


def test_a_node_is_not_marked_again_at_once() -> None:
    """Unless it failed; a minute later it is."""
    marker = canaries()
    (put,) = marker.mark_path(PATH, 0, 0, 0.0)
    assert isinstance(put, PutNode)
    assert marker.mark_path(PATH, 0, 0, CANARY_INTERVAL - 1) == []
    marker.done(put.request, ok=False)
    (again,) = marker.mark_path(PATH, 0, 0, CANARY_INTERVAL - 1)
    assert isinstance(again, PutNode)
    marker.done(again.request, ok=True)
    marker.done(12345, ok=False)
    assert marker.mark_path(PATH, 0, 0, CANARY_INTERVAL) == []
    assert len(marker.mark_path(PATH, 0, 0, 2 * CANARY_INTERVAL)) == 1


def test_the_memory_of_nodes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten, and marked again."""
    monkeypatch.setattr(pht_canaries, "REMEMBERED_MAX", 2)
    marker = canaries()
    marker.mark_path(PATH, 1, 1, 0.0)  # three nodes: 1, its sibling, the root
    assert marked(marker.mark_path(PATH, 1, 1, 1.0))[0] == PATH.cut(1)
