"""Debian's `dhtnode` 2.4.12, driven through its console, and through its proxy server when asked.

The console prints results without saying which command they belong to, so commands that answer run
one at a time. Text without blanks goes through the console; everything else needs the proxy server.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import shutil
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Final

from tests.peers.peer import (
    LOOPBACK,
    Heard,
    Peer,
    PeerError,
    PeerOptions,
    PutDone,
    Seen,
    free_port,
    key_of,
)
from tests.peers.process import STOP_PATIENCE, LoggedProcess
from tests.peers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROMPT: Final = ">> "
_STARTED: Final = re.compile(
    r"OpenDHT node ([0-9a-f]{40}) running on (?:port |IPv4 port )(\d+)(?:, IPv6 port (\d+))?"
)
_KEY_ID: Final = re.compile(r"Public key ID ([0-9a-f]{40})")
_KNOWN: Final = re.compile(r"Known nodes: (\d+) good, (\d+) dubious, (\d+) incoming")
_GET_DONE: Final = re.compile(r"Get: (completed|failure), took .*\(total (\d+)\)")
_PUT_DONE: Final = re.compile(r"Put: (success|failure), took .* Value ID: ([0-9a-f]+)")
_SIGNED_DONE: Final = re.compile(r"Put signed: (success|failure)")
_ENCRYPTED_DONE: Final = re.compile(r"Put encrypted: (success|failure)")
_LISTEN_TOKEN: Final = re.compile(r"Listening, token: (\d+)")
_QUERY_DONE: Final = re.compile(r"Query: (completed|failure)")
_VALUE: Final = re.compile(
    r"\tValue\[id:([0-9a-f]+) (encrypted )?(?:signed \(v(\d+)\) )?(decrypted )?"
    r"(?:data(?:\(([^)]*)\))?:(.*))?\]$"
)
_PROMPT_PIECE: Final = re.compile("> ?")
_HEARD: Final = re.compile(r"Listen: found (\d+) values( expired)?")
_TYPABLE: Final = re.compile(rb"[!-~]{1,1000}")
_START_TIMEOUT: Final = 30.0  # seconds: RSA-4096 generation with -i on a busy machine


class DhtnodeProcess(Peer):
    """One `dhtnode`, with its console on a pipe."""

    kind = "dhtnode"

    def __init__(
        self,
        options: PeerOptions = PeerOptions(),  # noqa: B008 - frozen
        *,
        has_proxy: bool | None = None,
        proxy_client: str | None = None,
        name: str = "dhtnode",
    ) -> None:
        self.options = options
        if has_proxy is None:
            has_proxy = options.namespace is None  # from outside a namespace it is out of reach
        self.proxy_port = free_port() if has_proxy else 0
        self._lock = threading.Lock()  # one answering command at a time
        self._listeners: list[_Listening] = []
        self._current: tuple[int, bool] = (0, False)  # values still to come, and whether expired
        command = self._command(options, proxy_client)
        self.process = LoggedProcess(name, command, on_line=self._on_line)
        started = self.process.wait_for_line(_STARTED, _START_TIMEOUT)
        self.node_id = bytes.fromhex(started[1])
        self.port = int(started[2])
        self.port6 = int(started[3] or started[2])
        self._key_id: str | None = None
        if self.proxy_port:
            until(self._is_proxy_open, f"{name}'s proxy on port {self.proxy_port}")

    def _command(self, options: PeerOptions, proxy_client: str | None) -> list[str]:
        program = shutil.which("dhtnode")
        if program is None:
            raise PeerError("no dhtnode on this machine")
        command = [program, "-p", str(options.port), "-n", str(options.network)]
        command += ["-U"] if options.is_unlimited else []
        command += ["-i"] if options.has_identity else []
        command += ["-D"] if options.has_discovery else []
        command += ["-v"] if options.is_verbose else []
        command += ["-f", options.state_path] if options.state_path else []
        command += ["-b", options.bootstrap] if options.bootstrap else []
        command += ["--proxyserver", str(self.proxy_port)] if self.proxy_port else []
        command += ["--proxyclient", proxy_client] if proxy_client else []
        return options.namespace.inside(command) if options.namespace else command

    # What the console can do

    @property
    def key_id(self) -> str:
        """Hex SHA-1 id of the node's key."""
        if self._key_id is None:
            self._key_id = self.process.wait_for_line(_KEY_ID)[1]
        return self._key_id

    @property
    def long_id(self) -> str | None:
        """2.4.12 knows long ids but never prints its own."""
        return None

    def good_nodes(self) -> int:
        """Return the good nodes of both families."""
        with self._lock:
            mark = self._type("ll")
            self.process.wait_for_line(re.compile("IPv6 stats"), after=mark)
            return sum(until(lambda: self._known_since(mark), "both tables"))

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
        """Put; by the console where it can express the value, else through the proxy."""
        if value_id == 0 and user_type in {"", "text/plain"} and _TYPABLE.fullmatch(data):
            verb = "pp" if permanent else "p"
            done = self._ask(f"{verb} {key} {data.decode()}", _PUT_DONE, timeout)
            return PutDone(done[1] == "success", int(done[2], 16))
        value: dict[str, Any] = {
            "id": str(value_id),
            "data": base64.b64encode(data).decode(),
            "type": 0,
        }
        if user_type:
            value["utype"] = user_type
        if permanent:
            value["permanent"] = True
        return self.put_json(key, value, timeout=timeout)

    def put_json(self, key: str, value: Mapping[str, object], *, timeout: float = 20.0) -> PutDone:
        """Put any value in its JSON form through the proxy."""
        status, lines = self.proxy("POST", f"/{key}", json.dumps(value), timeout=timeout)
        if status != http.HTTPStatus.OK:
            return PutDone(ok=False)
        return PutDone(ok=True, id=int(lines[0].get("id", "0")))

    def put_signed(
        self, key: str, data: bytes, *, value_id: int = 0, timeout: float = 20.0
    ) -> PutDone:
        """Sign and put; the console cannot choose the id."""
        if value_id:
            raise PeerError("dhtnode's console chooses the id of signed values")
        done = self._ask(f"s {key} {data.decode()}", _SIGNED_DONE, timeout)
        return PutDone(done[1] == "success")

    def put_encrypted(self, key: str, data: bytes, to: Peer, *, timeout: float = 20.0) -> PutDone:
        """Encrypt for the SHA-1 key id of *to*, whose certificate the node looks up."""
        done = self._ask(f"e {key} {to.key_id} {data.decode()}", _ENCRYPTED_DONE, timeout)
        return PutDone(done[1] == "success")

    def cancel_put(self, key: str, value_id: int) -> None:
        """Stop announcing a permanent value."""
        self._type(f"cpp {key} {value_id:x}")

    def get(self, key: str, *, timeout: float = 20.0) -> list[Seen]:
        """Return what the console shows; long binary values come without their content."""
        with self._lock:
            mark = self._type(f"g {key}")
            done = self.process.wait_for_line(_GET_DONE, timeout, after=mark)
            values = until(lambda: self._values_since(mark, int(done[2])), f"{done[2]} values", 5.0)
            return values[0]

    def get_json(self, key: str, *, timeout: float = 20.0) -> list[Seen]:
        """Get through the proxy: exact contents of any size."""
        status, lines = self.proxy("GET", f"/{key}", timeout=timeout)
        if status != http.HTTPStatus.OK:
            raise PeerError(f"the proxy answered {status}")
        return [seen_from_json(line) for line in lines]

    def query(self, key: str, text: str = "", *, timeout: float = 20.0) -> list[str]:
        """Return the lines that a query prints."""
        with self._lock:
            mark = self._type(f"q {key} {text}".rstrip())
            self.process.wait_for_line(_QUERY_DONE, timeout, after=mark)
            lines = self.process.lines_from(mark)
            return [line.strip() for line in lines if line.startswith("\t")]

    def listen(self, key: str) -> _Listening:
        """Listen; what is heard is not labelled, so use values that tell keys apart."""
        with self._lock:
            listening = _Listening(self, key)
            self._listeners.append(listening)  # before asking: values come at once
            mark = self._type(f"l {key}")
            listening.token = int(self.process.wait_for_line(_LISTEN_TOKEN, after=mark)[1])
        return listening

    def change_connectivity(self) -> None:
        """Console command `cc`."""
        self._type("cc")

    def bootstrap(self, host_port: str) -> None:
        """Console command `b`."""
        self._type(f"b {host_port}")

    def console(self, line: str, answer: re.Pattern[str], timeout: float = 20.0) -> re.Match[str]:
        """Type any command and wait for a line of its answer."""
        return self._ask(line, answer, timeout)

    def close(self) -> None:
        """Leave the console, which saves the state."""
        if self.process.is_running:
            self._type("x")
            try:
                self.process.wait(10.0)
            except subprocess.TimeoutExpired:
                self.process.stop(STOP_PATIENCE)
        self.process.stop()

    def kill(self) -> None:
        """End at once."""
        self.process.signal(signal.SIGKILL)
        self.process.kill()

    # The proxy server

    def proxy(
        self, method: str, path: str, body: str | None = None, *, timeout: float = 20.0
    ) -> tuple[int, list[dict[str, Any]]]:
        """Ask the node's proxy server; return the status and the JSON lines."""
        link = http.client.HTTPConnection(LOOPBACK, self.proxy_port, timeout=timeout)
        try:
            link.request(method, path, body)
            answer = link.getresponse()
            text = answer.read().decode()
        finally:
            link.close()
        return answer.status, [json.loads(line) for line in text.splitlines() if line.strip()]

    def _is_proxy_open(self) -> bool:
        try:
            return self.proxy("GET", "/node/info", timeout=2.0)[0] == http.HTTPStatus.OK
        except OSError:
            return False

    # Reading the console

    def _type(self, line: str) -> int:
        """Type a command; return the number of the first line that may answer it."""
        mark = self.process.lines_seen
        self.process.write_line(line)
        return mark

    def _ask(self, line: str, answer: re.Pattern[str], timeout: float) -> re.Match[str]:
        with self._lock:
            mark = self._type(line)
            return self.process.wait_for_line(answer, timeout, after=mark)

    def _known_since(self, mark: int) -> list[int] | None:
        lines = self.process.lines_from(mark)
        counts = [int(found[1]) for line in lines if (found := _KNOWN.search(line))]
        return counts if len(counts) >= 2 else None

    def _values_since(self, mark: int, count: int) -> tuple[list[Seen]] | None:
        lines = self.process.lines_from(mark)
        in_get = False
        values: list[Seen] = []
        for line in lines:
            if "Get: found" in line:
                in_get = True
            elif "Listen: found" in line:
                in_get = False
            elif in_get and (seen := seen_from_console(line)) is not None:
                values.append(seen)
        return (values,) if len(values) >= count else None

    def _on_line(self, line: str) -> None:
        if found := _HEARD.search(line):
            self._current = (int(found[1]), found[2] is not None)
            return
        left, is_expired = self._current
        if left and (seen := seen_from_console(line)) is not None:
            self._current = (left - 1, is_expired)
            for listening in list(self._listeners):
                listening.events.append(Heard(seen, is_expired))


class _Listening:
    """A listen on the console."""

    def __init__(self, node: DhtnodeProcess, key: str) -> None:
        self.events: list[Heard] = []
        self.token = 0
        self._node = node
        self._key = key

    def heard(self) -> list[Heard]:
        return list(self.events)

    def cancel(self) -> None:
        self._node._listeners.remove(self)  # noqa: SLF001 - one module, one subject
        self._node._type(f"cl {self._key} {self.token}")  # noqa: SLF001


def seen_from_console(line: str) -> Seen | None:
    """Read a line like `Value[id:2a signed (v1) data(text/plain):"text"]`."""
    # Another thread of dhtnode prints its prompt, in the middle of a line too, or in two pieces.
    whole = line.replace(_PROMPT, "")
    found = _VALUE.search(whole) or _VALUE.search(_PROMPT_PIECE.sub("", whole).rstrip(" "))
    if found is None:
        return None
    user_type, content = found[5] or "", found[6]
    data: bytes | None = None
    if content is not None and user_type == "text/plain":
        data = content.removeprefix('"').removesuffix('"').encode()
    elif content is not None and not content.endswith(" bytes"):
        data = bytes.fromhex(_PROMPT_PIECE.sub("", content))  # which ignores blanks
    return Seen(
        data=data,
        id=int(found[1], 16),
        user_type=user_type,
        seq=None if found[3] is None else int(found[3]),
        is_encrypted=found[2] is not None,
    )


def seen_from_json(value: Mapping[str, Any]) -> Seen:
    """Read a value in its JSON form."""
    is_encrypted = "cypher" in value
    return Seen(
        data=None if is_encrypted else base64.b64decode(value.get("data", "")),
        id=int(value.get("id", "0")),
        user_type=None if is_encrypted else value.get("utype", ""),
        seq=value.get("seq") if "sig" in value else None,
        is_encrypted=is_encrypted,
    )


__all__ = ["DhtnodeProcess", "key_of", "seen_from_console", "seen_from_json"]
