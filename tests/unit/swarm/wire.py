"""A channel in memory: one end fetches, the other serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.swarm.fetching import Fetched, FetchEngine, FetchFailed, ObjectsArrived, Send
from shoal.swarm.serving import SendPack, Served, ServeEngine, ServeFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.core import CommitId
    from shoal.swarm import Conversation, MemoryStore, ObjectKind
    from shoal.swarm.fetching import FetchEffect
    from shoal.swarm.serving import ServeEffect


class Wire:
    """Carries one fetch after the other."""

    def __init__(self, source: Conversation, store: MemoryStore, cut: int = 65_535) -> None:
        self.source = source
        self.store = store
        self.cut = cut
        self.client = FetchEngine(source.id, source.me.device_id, store)
        self.server = ServeEngine(source.id, source.store, source.graph)
        self.arrived: list[tuple[ObjectKind, bytes]] = []
        self.served: list[CommitId] = []

    def fetch(
        self, haves: Sequence[CommitId], contains: Callable[[CommitId], bool]
    ) -> Fetched | FetchFailed:
        """Run one fetch to its end."""
        end = self._client(self.client.fetch(haves, contains, 0.0))
        assert end is not None, "the fetch has ended"
        return end

    def _client(self, effects: Sequence[FetchEffect]) -> Fetched | FetchFailed | None:
        end: Fetched | FetchFailed | None = None
        for effect in effects:
            match effect:
                case Send(data):
                    end = self._server(self.server.receive(data, 0.0)) or end
                case ObjectsArrived(objects):
                    self.arrived += objects
                    self.store.add_all(objects)
                case Fetched() | FetchFailed():
                    end = effect
        return end

    def _server(self, effects: Sequence[ServeEffect]) -> Fetched | FetchFailed | None:
        end: Fetched | FetchFailed | None = None
        for effect in effects:
            match effect:
                case Send(data):
                    end = self._deliver(data) or end
                case SendPack(pieces):
                    for piece in pieces:
                        end = self._deliver(piece) or end
                case Served(head):
                    self.served.append(head)
                case ServeFailed():
                    end = self._client(self.client.receive_eof(0.0)) or end
        return end

    def _deliver(self, data: bytes) -> Fetched | FetchFailed | None:
        end: Fetched | FetchFailed | None = None
        for start in range(0, len(data), self.cut):
            end = self._client(self.client.receive(data[start : start + self.cut], 0.0)) or end
        return end
