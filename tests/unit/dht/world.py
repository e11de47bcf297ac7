"""A few production engines on a simulated network, for tests of what they do together."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from shoal.core import Address, Family, InfoHash, SendDatagram
from shoal.dht import wire
from shoal.dht.config import DhtConfig
from shoal.dht.effects import Done, ResolveHost, RowsFound, Status, ValuesExpired, ValuesFound
from shoal.dht.engine import DhtEngine
from shoal.dht.query import Query, Row
from shoal.sim import Conditions, Constant, Host, Network, SeededEntropy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.dht.value import Value

T = TypeVar("T")
WALL_NOW = 1_700_000_000.0
KEY = InfoHash.from_text("the key")
TOKEN = b"t" * 32


class Peer:
    """One node of the world."""

    def __init__(self, world: World, host: Host, engine: DhtEngine, addr: Address) -> None:
        self.world = world
        self.host = host
        self.engine = engine
        self.addr = addr
        self._op = 0

    def do(self, command: Callable[[DhtEngine, int, float], object]) -> int:
        """Run a command under a fresh operation id, which is returned."""
        self._op += 1
        effects = command(self.engine, self._op, self.world.network.now)
        self.world.network.apply(self.host, effects)  # type: ignore[arg-type]
        return self._op

    def events(self, kind: type[T], op: int | None = None) -> list[T]:
        """Return what this node reported."""
        found = [event for event in self.host.events if isinstance(event, kind)]
        return [event for event in found if op is None or getattr(event, "op", None) == op]

    @property
    def is_connected(self) -> bool:
        """Whether IPv4 is connected."""
        return self.engine.status[0] is Status.CONNECTED

    def done(self, op: int) -> Done | None:
        """Return how *op* ended, if it did."""
        ended = self.events(Done, op)
        assert len(ended) <= 1, "an operation ends once"
        return ended[0] if ended else None

    def finish(self, op: int, patience: float = 60.0) -> Done:
        """Run the world until *op* ended."""
        end = self.world.network.now + patience
        self.world.network.run(end, stop=lambda: bool(self.events(Done, op)))
        result = self.done(op)
        assert result is not None, f"operation {op} did not end within {patience} s"
        return result

    def put(self, value: Value, key: InfoHash = KEY, *, permanent: bool = False) -> Done:
        """Put and wait."""
        op = self.do(lambda e, op, now: e.put(op, key, value, now, permanent=permanent))
        return self.finish(op)

    def get(self, key: InfoHash = KEY, query: Query | None = None) -> list[Value]:
        """Get and wait."""
        asked = query or Query()
        op = self.do(lambda e, op, now: e.query(op, key, asked, now))
        assert self.finish(op).ok
        return [value for event in self.events(ValuesFound, op) for value in event.values]

    def rows(self, query: Query, key: InfoHash = KEY) -> list[Row]:
        """Query and wait."""
        op = self.do(lambda e, op, now: e.query(op, key, query, now))
        assert self.finish(op).ok
        return [row for event in self.events(RowsFound, op) for row in event.rows]

    def listen(self, key: InfoHash = KEY, query: Query | None = None) -> int:
        """Listen until cancelled."""
        where = query.where if query is not None else ()
        return self.do(lambda e, op, now: e.listen(op, key, now, where=where))

    def heard(self, op: int) -> list[bytes]:
        """Return the contents of the values that a listen reported."""
        return [v.data for event in self.events(ValuesFound, op) for v in event.values]

    def missed(self, op: int) -> list[bytes]:
        """Return the contents of the values that a listen reported gone."""
        return [v.data for event in self.events(ValuesExpired, op) for v in event.values]


class World:
    """Nodes that have joined one network."""

    def __init__(
        self,
        count: int,
        seed: int = 1,
        *,
        families: tuple[Family, ...] = (Family.IPV4,),
        conditions: Conditions | None = None,
        config: DhtConfig | None = None,
    ) -> None:
        self.network = Network(seed, conditions or Conditions(latency=Constant(0.02)))
        self.network.on_effect(ResolveHost, self._resolve)
        self._config = config or DhtConfig(families=families)
        self.peers = [self.add() for _ in range(count)]
        for peer in self.peers[1:]:
            self.join(peer, self.peers[0])
        if count > 1:
            self.run(40.0)

    def add(self, config: DhtConfig | None = None) -> Peer:
        """Start a node that knows nobody."""
        config = config or self._config
        number = len(self.network.hosts)
        engine = DhtEngine(
            config, SeededEntropy(self.network.seed, "node", number), self.network.now,
            wall_offset=WALL_NOW,
        )  # fmt: skip
        host = self.network.add_host(engine, families=config.families)
        endpoint = host.ipv4 or host.ipv6
        assert endpoint is not None
        addr = endpoint.address
        return Peer(self, host, engine, addr)

    def join(self, peer: Peer, known: Peer) -> None:
        """Tell *peer* where another node is."""
        ends = [end.address for end in (known.host.ipv4, known.host.ipv6) if end is not None]
        peer.do(lambda e, op, now: e.bootstrap([(end.host, end.port) for end in ends], now))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.network.run(self.network.now + seconds)

    def _resolve(self, host: Host, effect: object) -> None:
        assert isinstance(effect, ResolveHost)
        engine = host.engine
        assert isinstance(engine, DhtEngine)
        addr = Address.parse(effect.host, effect.port)
        self.network.apply(
            host, engine.resolved(effect.host, effect.port, [addr], self.network.now)
        )


class Stranger:
    """A hand-driven counterpart of one engine: bytes in, decoded messages out."""

    def __init__(self, engine: DhtEngine, name: bytes = b"s", port: int = 4222) -> None:
        self.engine = engine
        self.id = InfoHash(name * 20)
        self.addr = Address(bytes((198, 51, 100, name[0])), port)
        self.now = 0.0
        self.token = b""
        self.events: list[object] = []
        self._tid = 0

    def tid(self) -> int:
        """Return a fresh transaction id."""
        self._tid += 1
        return self._tid

    def say(self, message: wire.Message) -> list[wire.Message]:
        """Send *message*; return what the engine sends back here, values put together."""
        effects: list[object] = []
        for datagram in wire.encode(message, network=self.engine.config.network):
            effects += self.engine.receive(datagram, self.addr, self.now)
        return self.read(effects)

    def read(self, effects: Sequence[object]) -> list[wire.Message]:
        """Decode what is addressed to us, and keep the events."""
        self.events += [effect for effect in effects if not isinstance(effect, SendDatagram)]
        return [
            wire.decode(effect.data).message
            for effect in effects
            if isinstance(effect, SendDatagram) and effect.addr == self.addr
        ]

    def wait(self, seconds: float) -> list[wire.Message]:
        """Let time pass; return what the engine sends here."""
        end = self.now + seconds
        found: list[wire.Message] = []
        while (moment := self.engine.next_deadline()) is not None and moment <= end:
            self.now = max(self.now, moment)
            found += self.read(list(self.engine.advance(self.now)))
        self.now = end
        return found

    def replies(self, message: wire.Message) -> list[wire.Reply]:
        """Send *message*; return the replies to it."""
        answers = self.say(message)
        return [one for one in answers if isinstance(one, wire.Reply) and one.tid == message.tid]

    def reply(self, message: wire.Message) -> wire.Reply:
        """Send *message*, which must be answered once."""
        (answer,) = self.replies(message)
        return answer

    def take_token(self) -> bytes:
        """Ask for the right to write."""
        answer = self.reply(wire.Find(self.tid(), self.id, KEY, None))
        assert answer.token is not None
        self.token = answer.token
        return answer.token

    def put(
        self, *values: Value, created: int | None = None, key: InfoHash = KEY
    ) -> list[wire.Reply]:
        """Put with the token that was taken."""
        return self.replies(wire.Put(self.tid(), self.id, key, values, created, self.token))

    def get(self, query: Query | None = None, key: InfoHash = KEY) -> wire.Reply:
        """Get."""
        return self.reply(wire.Get(self.tid(), self.id, key, query, None))


def answer(question: wire.Message, peer: Stranger, **fields: object) -> wire.Reply:
    """Make *peer*'s reply to *question*, with a token unless *fields* say otherwise."""
    plain = wire.Reply(question.tid, peer.id, None, b"", b"", TOKEN, (), None, None)
    return plain._replace(**fields)  # type: ignore[arg-type]  # names are checked


def meet(engine: DhtEngine, name: bytes = b"p", now: float = 0.0) -> Stranger:
    """Let *engine* know a node that answers its ping."""
    peer = Stranger(engine, name)
    peer.now = now
    (ping,) = peer.read(engine.insert_node(peer.id, peer.addr, now))
    peer.say(answer(ping, peer))
    return peer
