"""Jami's library of August 2026, in a Node process of its own, driven over JSON lines.

It runs in a namespace or, unlike 13.7, on the loopback. What it writes stays below one folder.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.peers.jami import JamiDaemon, Signal
from tests.peers.peer import PeerError
from tests.peers.presence import LIBJAMI_FOLDER
from tests.peers.process import LoggedProcess

if TYPE_CHECKING:
    from tests.peers.namespaces import Namespace

_SCRIPT: Final = Path(__file__).with_suffix(".js")
_START_TIMEOUT: Final = 30.0  # seconds
_LINKING_TIMEOUT: Final = 90.0  # seconds: a DHT node of its own, then a connection
_LINK_ENDED: Final = 5  # DeviceAuthState::DONE
_DEBUG, _CONSOLE, _NO_MEDIA = 1, 2, 192  # jami.h, InitFlag


class LibjamiProcess(JamiDaemon):
    """One process with the library in it."""

    kind = "libjami"

    def __init__(
        self,
        namespace: Namespace | None,
        home: Path,
        *,
        name: str = "libjami",
        is_verbose: bool = False,
    ) -> None:
        self.namespace = namespace
        self.home = home
        self.signals = []
        self._log = home / "libjami.log"
        self._ops = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {0: Future()}
        self._lock = threading.Lock()
        libraries = LIBJAMI_FOLDER / "lib"
        flags = _NO_MEDIA | (_DEBUG | _CONSOLE if is_verbose else 0)
        command = [
            "sh", "-c", f'exec "$@" 2>>"{self._log}"', "sh",  # its log would tear the JSON lines
            str(libraries / "ld-linux-x86-64.so.2"),
            "--library-path", f"{libraries}:/usr/lib/x86_64-linux-gnu",
            shutil.which("node") or "node",
            str(_SCRIPT), str(LIBJAMI_FOLDER / "jamid.node"), str(flags),
        ]  # fmt: skip
        self.process = LoggedProcess(
            name,
            namespace.inside(command) if namespace else command,
            env={
                "HOME": str(home),
                "PATH": os.defpath,
                **{
                    f"XDG_{kind}": str(home / kind.lower())
                    for kind in ("CONFIG_HOME", "DATA_HOME", "CACHE_HOME", "RUNTIME_DIR")
                },
            },
            on_line=self._on_line,
            cwd=home,  # where a linking device leaves keys and parameters
        )
        self._waiting[0].result(_START_TIMEOUT)

    # What 2026 has to itself

    def ask_to_revoke(self, account: str, device: str, password: str) -> None:
        """Begin to revoke one of the account's devices; the addon cannot hand over a password."""
        if password:
            raise PeerError("the addon takes a password for the scheme, and has no place for it")
        self.call("revokeDevice", account, device, "")

    def ask_to_register(self, account: str, name: str, password: str) -> None:
        """Begin to register a name for the account."""
        self.call("registerName", account, name, "password" if password else "", password)

    def send_text(self, account: str, uri: str, text: str) -> int:
        """Send an instant message outside of conversations; return its id."""
        return int(self.call("sendAccountTextMessage", account, uri, {"text/plain": text}, 0))

    def connections(self, account: str) -> list[dict[str, str]]:
        """Return the account's connections to other devices."""
        return [dict(each) for each in self.call("getConnectionList", account, "")]

    def channels(self, account: str, connection: str) -> list[dict[str, str]]:
        """Return the channels of a connection."""
        return [dict(each) for each in self.call("getChannelList", account, connection)]

    # Linking: this side is the new device

    def begin_link(self, bootstrap: str, **details: str) -> tuple[str, str]:
        """Create an account that waits for an old device; return it and the `jami-auth` URI."""
        account = self.add_account(bootstrap, Account_archiveURL="jami-auth", **details)
        shown = self.wait_signal(
            "deviceAuthStateChanged",
            account,
            where=lambda signal: signal.body[1] == 1,
            timeout=_LINKING_TIMEOUT,
        )
        return account, str(shown.body[2]["token"])

    def wait_scheme(self, account: str) -> dict[str, str]:
        """Wait until the old device asks for a password, or for none; return what it says."""
        asked = self.wait_signal(
            "deviceAuthStateChanged",
            account,
            where=lambda signal: signal.body[1] == 3,
            timeout=_LINKING_TIMEOUT,
        )
        return dict(asked.body[2])

    def authenticate(self, account: str, password: str = "") -> None:
        """Answer the old device's question."""
        scheme = "password" if password else ""
        if not self.call("provideAccountAuthentication", account, password, scheme):
            raise PeerError("the library awaits no password")

    def wait_auth_error(self, account: str) -> None:
        """Wait until the old device says that the password was wrong."""
        self.wait_signal(
            "deviceAuthStateChanged",
            account,
            where=lambda signal: signal.body[2].get("auth_error") == "invalid_credentials",
            timeout=_LINKING_TIMEOUT,
        )

    def wait_linked(self, account: str) -> str:
        """Wait for the end of the link; return the error, empty for success."""
        ended = self.wait_signal(
            "deviceAuthStateChanged",
            account,
            where=lambda signal: signal.body[1] == 5,
            timeout=_LINKING_TIMEOUT,
        )
        return str(ended.body[2].get("error", ""))

    # Linking: this side is the old device

    def add_device(self, account: str, uri: str) -> int:
        """Connect to the device that shows *uri*; return the operation's number."""
        operation = int(self.call("addDevice", account, uri))
        if operation < 0:
            raise PeerError(f"addDevice: {operation}")
        return operation

    def wait_add_state(self, account: str, operation: int, state: int) -> dict[str, str]:
        """Wait until the operation reaches a state (3 asks to confirm, 5 is the end).

        Raises:
            PeerError: it ended before.
        """

        def is_it(signal: Signal) -> bool:
            return bool(signal.body[1] == operation and signal.body[2] in (state, _LINK_ENDED))

        seen = self.wait_signal(
            "addDeviceStateChanged", account, where=is_it, timeout=_LINKING_TIMEOUT
        )
        if seen.body[2] != state:
            raise PeerError(f"the link ended: {seen.body[3]}")
        return dict(seen.body[3])

    def confirm_device(self, account: str, operation: int) -> None:
        """Say that the address shown is the new device's."""
        if not self.call("confirmAddDevice", account, operation):
            raise PeerError("the library awaits no confirmation")

    # The lines

    def call(self, method: str, *arguments: object, timeout: float = 60.0) -> Any:
        """Call a function of the addon.

        Raises:
            PeerError: it threw.
        """
        op = next(self._ops)
        answer: Future[Any] = Future()
        self._waiting[op] = answer
        line = json.dumps({"op": op, "do": method, "with": [_to_json(each) for each in arguments]})
        with self._lock:
            self.process.write_line(line)
        return answer.result(timeout)

    def log(self) -> str:
        """Return what the library has logged so far; much only where it is verbose."""
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        """End the process."""
        self.process.signal(signal.SIGKILL)
        self.process.kill()

    def _on_line(self, line: str) -> None:
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            if "event" in said:
                self.hear(said["event"], tuple(said["body"]))
            elif "error" in said:
                self._waiting.pop(said["op"]).set_exception(PeerError(said["error"]))
            else:
                self._waiting.pop(said["op"]).set_result(said["result"])


def _to_json(argument: object) -> object:
    if isinstance(argument, bytes):
        return {"blob": argument.hex()}
    if isinstance(argument, dict):
        return {"map": argument}
    return argument
