"""A peer behind a JSON-lines worker: the wheel's node and Shoal's own share this side."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import shoal
from tests.peers.peer import Heard, Peer, PeerError, PeerOptions, PutDone, Seen
from tests.peers.process import LoggedProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[2]
_START_TIMEOUT: Final = 40.0  # seconds: imports and key generation on a busy machine


@dataclass(frozen=True, slots=True)
class Index:
    """A prefix hash tree: its name, and the most bytes of each field."""

    name: str
    spec: dict[str, int]


class WorkerPeer(Peer):
    """Starts the worker, numbers the commands, hands the answers to whoever waits."""

    module: ClassVar[str]

    def __init__(
        self,
        options: PeerOptions = PeerOptions(),  # noqa: B008 - frozen
        *,
        name: str | None = None,
        log_path: str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self.options = options
        self._ops = itertools.count(1)
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._listens: dict[int, WorkerListening] = {}
        self._lock = threading.Lock()
        command = [sys.executable, "-m", self.module]
        if options.namespace:
            command = options.namespace.inside(command)
        package = Path(shoal.__file__).parents[1]  # the worker runs the Shoal that is under test
        path = os.pathsep.join([str(package), str(ROOT)])
        env = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        self.process = LoggedProcess(
            name or self.kind, command, env=env, cwd=ROOT, on_line=self._on_line
        )
        facts = asdict(PeerOptions(**{**_plain(options), "namespace": None}))
        started = self.ask(
            "start", **{**facts, "log_path": log_path, **(extra or {})}, timeout=_START_TIMEOUT
        )
        self.facts = started
        self.node_id = bytes.fromhex(started["node_id"])
        self.port = int(started["port"])
        self.port6 = int(started["port6"] or 0)

    # Asking

    def begin(self, do: str, **arguments: object) -> Future[dict[str, Any]]:
        """Send a command; its answer comes in the future."""
        return self._send(next(self._ops), do, arguments)

    def ask(self, do: str, *, timeout: float = 20.0, **arguments: object) -> dict[str, Any]:
        """Send a command and wait for its answer.

        Raises:
            PeerError: the worker failed at it, ended, or gave no answer in time.
        """
        return self.result(self.begin(do, **arguments), do, timeout)

    def result(
        self, future: Future[dict[str, Any]], what: str, timeout: float = 20.0
    ) -> dict[str, Any]:
        """Wait for the answer to a command that was begun.

        Raises:
            PeerError: the worker failed at it, ended, or gave no answer in time.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.process.is_running:
            with contextlib.suppress(TimeoutError):
                return future.result(min(0.5, timeout))
        state = "no answer" if self.process.is_running else f"ended ({self.process.return_code})"
        raise PeerError(
            f"{self.process.name}: {what}: {state} in {timeout:g} s\n{self.process.tail(25)}"
        )

    def _send(self, op: int, do: str, arguments: Mapping[str, object]) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            self._waiting[op] = future
            if not self.process_is_up():
                raise PeerError(f"{self.process.name} has ended: {self.process.tail(10)}")
            self.process.write_line(json.dumps({"op": op, "do": do, **arguments}))
        return future

    def process_is_up(self) -> bool:
        """Whether there is anybody to ask."""
        return self.process.is_running

    def _on_line(self, line: str) -> None:
        if not line.startswith('{"op"'):
            return  # a log line
        message = json.loads(line)
        op = message["op"]
        if "event" in message:
            if (listening := self._listens.get(op)) is not None:
                listening.hear(message)
            return
        future = self._waiting.pop(op, None)
        if future is None:
            return
        if message["ok"]:
            future.set_result(message)
        else:
            future.set_exception(PeerError(f"{self.process.name}: {message['error']}"))

    # Peer

    @property
    def key_id(self) -> str:
        """Hex SHA-1 id of the peer's key."""
        return str(self.facts["key_id"])

    @property
    def long_id(self) -> str | None:
        """Hex SHA-256 id of the peer's key."""
        return str(self.facts["long_id"]) if self.facts["long_id"] else None

    def begin_put(
        self,
        key: str,
        data: bytes,
        *,
        value_id: int = 0,
        user_type: str = "",
        permanent: bool = False,
        how: str = "plain",
        to: str | None = None,
        **more: object,
    ) -> Future[dict[str, Any]]:
        """Start a put of any sort."""
        return self.begin(
            "put", key=key, data=data.hex(), value_id=value_id, user_type=user_type,
            permanent=permanent, how=how, to=to, **more,
        )  # fmt: skip

    def put(
        self,
        key: str,
        data: bytes,
        *,
        value_id: int = 0,
        user_type: str = "",
        permanent: bool = False,
        timeout: float = 20.0,
    ) -> PutDone:
        """Put a plain value."""
        future = self.begin_put(
            key, data, value_id=value_id, user_type=user_type, permanent=permanent
        )
        return _put_done(self.result(future, "put", timeout))

    def put_signed(
        self, key: str, data: bytes, *, value_id: int = 0, timeout: float = 20.0
    ) -> PutDone:
        """Sign and put."""
        future = self.begin_put(key, data, value_id=value_id, how="signed")
        return _put_done(self.result(future, "put", timeout))

    def put_encrypted(self, key: str, data: bytes, to: Peer, *, timeout: float = 20.0) -> PutDone:
        """Encrypt for the long id of *to*, or its key id where it tells no other, and put."""
        future = self.begin_put(key, data, how="encrypted", to=to.long_id or to.key_id)
        return _put_done(self.result(future, "put", timeout))

    def cancel_put(self, key: str, value_id: int) -> None:
        """Stop announcing."""
        self.ask("cancel_put", key=key, value_id=value_id)

    def get(self, key: str, *, timeout: float = 20.0, where: str = "") -> list[Seen]:
        """Return every value found."""
        answer = self.ask("get", key=key, where=where, timeout=timeout)
        return [seen_from_facts(value) for value in answer["values"]]

    def listen(self, key: str) -> WorkerListening:
        """Listen."""
        op = next(self._ops)
        self._listens[op] = listening = WorkerListening(self, op)
        self._send(op, "listen", {"key": key}).result(20.0)
        return listening

    def good_nodes(self) -> int:
        """Return the good nodes of both families."""
        raise NotImplementedError

    def index_insert(
        self, index: Index, fields: Mapping[str, bytes], target: str, value_id: int
    ) -> bool:
        """Insert an entry into an index; return whether it went well."""
        answer = self.ask(
            "index_insert",
            name=index.name,
            spec=index.spec,
            fields={name: content.hex() for name, content in fields.items()},
            target=target,
            value_id=value_id,
        )
        return bool(answer["done"])

    def index_lookup(self, index: Index, fields: Mapping[str, bytes]) -> set[tuple[str, int]]:
        """Return the entries of exactly these fields: the keys and value ids they lead to."""
        contents = {name: content.hex() for name, content in fields.items()}
        answer = self.ask("index_lookup", name=index.name, spec=index.spec, fields=contents)
        return {(entry["target"], entry["value_id"]) for entry in answer["entries"]}

    def bootstrap(self, host: str, port: int) -> None:
        """Add a way into the network."""
        self.ask("bootstrap", host=host, port=str(port))

    def change_connectivity(self) -> None:
        """Tell the node that the network changed; the wheel cannot be told."""
        raise PeerError(f"{self.kind} cannot be told that the network changed")

    def close(self) -> None:
        """Shut down cleanly."""
        if self.process.is_running:
            with contextlib.suppress(PeerError, TimeoutError):
                self.ask("close", timeout=10.0)
                self.process.wait(10.0)
        self.process.stop()

    def kill(self) -> None:
        """End at once."""
        self.process.signal(signal.SIGKILL)
        self.process.kill()


class WorkerListening:
    """A listen of a worker."""

    def __init__(self, peer: WorkerPeer, op: int) -> None:
        self._peer = peer
        self._op = op
        self._events: list[Heard] = []

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take an event line."""
        self._events.append(Heard(seen_from_facts(message["value"]), message["is_expired"]))

    def heard(self) -> list[Heard]:
        """Return everything so far."""
        return list(self._events)

    def cancel(self) -> None:
        """End it."""
        self._peer.ask("cancel", listen=self._op)


def seen_from_facts(facts: Mapping[str, Any]) -> Seen:
    """Read a value from a worker's line."""
    return Seen(
        data=bytes.fromhex(facts["data"]),
        id=facts["id"],
        user_type=facts["user_type"],
        seq=facts["seq"],
        owner=facts["owner"],
        is_encrypted=facts["is_encrypted"],
    )


def _put_done(answer: Mapping[str, Any]) -> PutDone:
    return PutDone(answer["done"], answer["id"], answer.get("why", ""))


def _plain(options: PeerOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in options.__slots__}
