"""Canaries: what marks the nodes of a prefix hash tree.

Source: OpenDHT indexation/pht.cpp, updateCanary.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from shoal.dht.pht.effects import PhtEffect, PutNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.core import Entropy, InfoHash
    from shoal.dht.pht.prefix import Prefix
    from shoal.dht.value import Value

CANARY_INTERVAL: Final = 60.0  # ours: one that we put is put again after this at the earliest
REMEMBERED_MAX: Final = 4096  # ours: nodes; the oldest is forgotten, hence marked again too early


class Canaries:
    """Puts canaries, and remembers where it did."""

    def __init__(self, canary: Value, request_ids: Iterator[int], entropy: Entropy) -> None:
        self._canary = canary
        self._request_ids = request_ids
        self._entropy = entropy
        self._marked: OrderedDict[InfoHash, float] = OrderedDict()
        self._puts: dict[int, InfoHash] = {}  # under way, by request

    def mark_path(self, path: Prefix, leaf: int, depth: int, now: float) -> list[PhtEffect]:
        """Mark the nodes of *path* from *depth* up to the root.

        Their siblings are marked too: from *depth* up to *leaf*, where a split began, and from
        there as far up as chance goes.
        """
        effects: list[PhtEffect] = []
        has_sibling = True
        for size in range(depth, -1, -1):
            node = path.cut(size)
            effects += self._mark(node.key, now)
            if size and has_sibling:
                effects += self._mark(node.sibling().key, now)
            has_sibling = size > leaf or (has_sibling and self._entropy.below(2) == 1)
        return effects

    def done(self, request: int, *, ok: bool) -> None:
        """Take the end of a put; the place of one that failed is open for the next."""
        key = self._puts.pop(request, None)
        if key is not None and not ok:
            self._marked.pop(key, None)

    def _mark(self, key: InfoHash, now: float) -> list[PhtEffect]:
        """Put a canary, unless we just did."""
        marked = self._marked.get(key)
        if marked is not None and now < marked + CANARY_INTERVAL:
            return []
        self._marked[key] = now
        self._marked.move_to_end(key)
        if len(self._marked) > REMEMBERED_MAX:
            self._marked.popitem(last=False)
        request = next(self._request_ids)
        self._puts[request] = key
        return [PutNode(request, key, self._canary, 0.0)]
