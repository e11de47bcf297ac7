"""A node of the `opendht` wheel in a process of its own; run with `python -m`.

Apart because the wheel's threads and native crashes must not reach the test process.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import opendht

from tests.peers.worker import answerer, commands, say

if TYPE_CHECKING:
    from collections.abc import Callable

Facts = dict[str, Any]

_SIGNED: Final = re.compile(r"signed \(v(\d+)\)")
_NETWORK_MARK: Final = 0x5A17C0DE  # a network id that stands out in memory
_SHORT_STRING_MAX: Final = 15  # characters that libstdc++ keeps inside a string object
CLOSE_PATIENCE: Final = 5.0  # seconds for what is still under way
_IPV4: Final = 2
_IPV6: Final = 10


def facts_of(value: Any) -> Facts:
    """Return what the binding shows of a value."""
    text = str(value)
    signed = _SIGNED.search(text)
    facts: Facts = {
        "id": value.id,
        "data": value.data.hex(),
        "user_type": value.user_type,
        "seq": int(signed[1]) if signed else None,
        "is_encrypted": "encrypted" in text.partition("data")[0],
    }
    try:
        facts["owner"] = value.owner.getId().toString().decode()
    except ValueError:  # no owner
        facts["owner"] = None
    return facts


def set_state_path(config: Any, path: Path) -> None:
    """Make *config* keep its state at *path*, which the binding has no method for.

    The native configuration lies inside the Python object: the network id, two flags, then the
    path, a string that is short enough to be stored in place (so no allocator is involved). The
    process changes to the folder and uses the bare name.
    """
    os.chdir(path.parent)
    name = path.name.encode()
    assert len(name) <= _SHORT_STRING_MAX, "the file's name must fit into a short string"
    config.setNetwork(_NETWORK_MARK)
    start = id(config)
    content = ctypes.string_at(start, sys.getsizeof(config))
    at = content.index(_NETWORK_MARK.to_bytes(4, "little"))
    for offset in range((at + 7) // 8 * 8, at + 32, 8):
        pointer = int.from_bytes(content[offset : offset + 8], "little")
        if pointer == start + offset + 16:
            ctypes.memmove(start + offset + 16, name + b"\0", len(name) + 1)
            ctypes.memmove(start + offset + 8, len(name).to_bytes(8, "little"), 8)
            return
    raise AssertionError("no string behind the network id: the wheel's layout changed")


class Worker:
    """Carries out commands on one runner."""

    def __init__(self) -> None:
        self.runner = opendht.DhtRunner()
        self.identity: Any = None
        self._listens: dict[int, Any] = {}
        self._values: dict[tuple[str, int], Any] = {}  # what cancelPut wants back
        self._indexes: dict[str, Any] = {}

    def start(self, order: Facts, answer: Callable[..., None]) -> None:
        """Run the node."""
        config = opendht.DhtConfig()
        if order["state_path"]:
            set_state_path(config, Path(order["state_path"]))
        config.setNetwork(order["network"])
        if order["is_unlimited"]:
            config.setRateLimit(-1, -1)
        if order["has_discovery"]:
            config.setPeerDiscovery(True, True)
        if order["has_identity"]:
            self.identity = opendht.Identity.generate("peer", bits=2048)
            config.setIdentity(self.identity)
        if order["log_path"]:
            self.runner.enableFileLogging(order["log_path"])
        self.runner.run(port=order["port"], config=config)
        if order["bootstrap"]:
            host, _, port = order["bootstrap"].rpartition(":")
            self.runner.bootstrap(host.strip("[]"), port)
        key = self.identity.publickey if self.identity else None
        answer(
            node_id=self.runner.getNodeId().toString().decode(),
            port=self.runner.getBound(_IPV4).getPort(),
            port6=self.runner.getBound(_IPV6).getPort(),
            key_id=key.getId().toString().decode() if key else None,
            long_id=key.getLongId().toString().decode() if key else None,
            certificate=self.identity.certificate.toString() if key else None,
        )

    def bootstrap(self, order: Facts, answer: Callable[..., None]) -> None:
        """Add a way into the network."""
        self.runner.bootstrap(order["host"], order["port"])
        answer()

    def put(self, order: Facts, answer: Callable[..., None]) -> None:
        """Put, sign and put, or encrypt and put."""
        value = opendht.Value(bytes.fromhex(order["data"]), order.get("type", 0))
        if order["value_id"]:
            value.id = order["value_id"]
        if order["user_type"]:
            value.user_type = order["user_type"]
        key = opendht.InfoHash(order["key"].encode())

        def done(ok: bool, nodes: list[Any]) -> None:
            self._values[order["key"], value.id] = value
            answer(done=ok, id=value.id, nodes=len(nodes))

        permanent = order["permanent"]
        match order["how"]:
            case "plain":
                self.runner.put(key, value, done_cb=done, permanent=permanent)
            case "signed":
                self.runner.putSigned(key, value, done_cb=done, permanent=permanent)
            case "encrypted":
                target = opendht.PkId(order["to"].encode())
                self.runner.putEncrypted(key, value, target, done_cb=done, permanent=permanent)
            case how:
                raise ValueError(f"unknown sort of put: {how}")

    def cancel_put(self, order: Facts, answer: Callable[..., None]) -> None:
        """Stop announcing."""
        value = self._values[order["key"], order["value_id"]]
        self.runner.cancelPut(opendht.InfoHash(order["key"].encode()), value)
        answer()

    def get(self, order: Facts, answer: Callable[..., None]) -> None:
        """Get every value."""
        found: list[Facts] = []

        def seen(value: Any) -> bool:
            found.append(facts_of(value))
            return True

        def done(ok: bool, nodes: list[Any]) -> None:
            answer(done=ok, values=found, nodes=len(nodes))

        where = opendht.Where(order["where"]) if order.get("where") else None
        self.runner.get(opendht.InfoHash(order["key"].encode()), seen, done, where=where)

    def listen(self, order: Facts, answer: Callable[..., None]) -> None:
        """Listen until cancelled."""
        op = order["op"]

        def heard(value: Any, expired: bool) -> bool:
            say({"op": op, "event": "heard", "value": facts_of(value), "is_expired": expired})
            return True

        self._listens[op] = self.runner.listen(opendht.InfoHash(order["key"].encode()), heard)
        answer()

    def cancel(self, order: Facts, answer: Callable[..., None]) -> None:
        """Cancel a listen.

        The binding then releases a callback: not that of this listen, but of the one begun last,
        since all tokens share one dictionary. A reference more makes up for it.
        """
        token = self._listens.pop(order["listen"])
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(token._cb["cb"]))  # noqa: SLF001
        self.runner.cancelListen(token)
        answer()

    def probe(self, order: Facts, answer: Callable[..., None]) -> None:
        """Look a random key up, to count who answers.

        The binding's own logs would tell more, but asking for them holds the interpreter's lock
        while waiting for the runner's, and any callback waits the other way round: a deadlock.
        """
        key = opendht.InfoHash.getRandom()
        self.runner.get(key, lambda _: True, lambda ok, nodes: answer(done=ok, nodes=len(nodes)))

    def storage(self, order: Facts, answer: Callable[..., None]) -> None:
        """Show what is stored; only while nothing else is under way (see `probe`)."""
        answer(log=self.runner.getStorageLog())

    def index(self, order: Facts) -> Any:
        """Return the index of that name, made at its first use."""
        if order["name"] not in self._indexes:
            spec = dict(order["spec"])
            self._indexes[order["name"]] = opendht.Pht(order["name"].encode(), spec, self.runner)
        return self._indexes[order["name"]]

    def index_insert(self, order: Facts, answer: Callable[..., None]) -> None:
        """Insert an entry into an index."""
        target = opendht.IndexValue(opendht.InfoHash(order["target"].encode()), order["value_id"])
        key = {name: bytes.fromhex(content) for name, content in order["fields"].items()}
        self.index(order).insert(key, target, lambda ok: answer(done=ok))

    def index_lookup(self, order: Facts, answer: Callable[..., None]) -> None:
        """Look an entry up."""
        found: list[Facts] = []

        def seen(entries: list[Any], prefix: object) -> None:
            found.extend(
                {"target": entry.getKey().toString().decode(), "value_id": entry.getValueId()}
                for entry in entries
            )

        key = {name: bytes.fromhex(content) for name, content in order["fields"].items()}
        self.index(order).lookup(key, seen, lambda ok: answer(done=ok, entries=found))

    def close(self, order: Facts, answer: Callable[..., None]) -> None:
        """Shut down cleanly, saving the state; `join` at once would discard the shutdown."""
        is_down = threading.Event()
        self.runner.shutdown(is_down.set)
        answer(is_complete=is_down.wait(CLOSE_PATIENCE))


def main() -> None:
    """Serve commands until the input ends."""
    worker = Worker()
    for order in commands():
        answer = answerer(order["op"])
        try:
            getattr(worker, order["do"])(order, answer)
        except Exception as error:  # noqa: BLE001 - whatever the binding raises is the answer
            answer(ok=False, error=f"{type(error).__name__}: {error}")
        if order["do"] == "close":
            break
    worker.runner.join()
    sys.stdout.flush()
    os._exit(0)  # the wheel's static destructors have been seen to hang


if __name__ == "__main__":
    main()
