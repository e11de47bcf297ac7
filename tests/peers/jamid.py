"""Debian's `jamid` 13.7 in a namespace of its own, driven over a D-Bus of its own.

Everything it writes stays below one folder. IPv6 must be off where it runs: its pjlib otherwise
waits for ever on a netlink answer.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from jeepney import DBusAddress, MatchRule, MessageType, message_bus, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from tests.peers.jami import JamiDaemon
from tests.peers.peer import PeerError
from tests.peers.presence import JAMID_PATH
from tests.peers.process import LoggedProcess
from tests.peers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.peers.namespaces import Namespace

_SERVICE: Final = "cx.ring.Ring"
_MANAGER: Final = DBusAddress(
    "/cx/ring/Ring/ConfigurationManager",
    bus_name=_SERVICE,
    interface="cx.ring.Ring.ConfigurationManager",
)
_DESCRIBED: Final = DBusAddress(
    _MANAGER.object_path,
    bus_name=_SERVICE,
    interface="org.freedesktop.DBus.Introspectable",
)
# No service folders: a bus that may start services would start a daemon outside the namespace.
_BUS_CONFIGURATION: Final = """<!DOCTYPE busconfig PUBLIC
 "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
# Unlike the other peers these two do not end with their standard input, should we be killed.
_ENDS_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")
_START_TIMEOUT: Final = 15.0  # seconds


class JamidProcess(JamiDaemon):
    """One daemon with its bus."""

    kind = "jamid"
    namespace: Namespace

    def __init__(
        self,
        namespace: Namespace,
        home: Path,
        *,
        name: str = "jamid",
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.namespace = namespace
        self.home = home
        self.signals = []
        self._signatures: dict[str, str] = {}  # of the methods, by name
        bus = f"unix:path={home}/bus"
        env = {
            "HOME": str(home),
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "DBUS_SESSION_BUS_ADDRESS": bus,
            **{
                f"XDG_{kind}": str(home / kind.lower())
                for kind in ("CONFIG_HOME", "DATA_HOME", "CACHE_HOME", "RUNTIME_DIR")
            },
        }
        (home / "bus").unlink(missing_ok=True)  # of a life before
        (home / "bus.conf").write_text(_BUS_CONFIGURATION.format(address=bus))
        self._bus = LoggedProcess(
            f"{name}'s bus",
            [
                *_ENDS_WITH_US,
                "dbus-daemon",
                f"--config-file={home}/bus.conf",
                "--nofork",
                "--nopidfile",
            ],
            env=env,
        )
        until((home / "bus").exists, "the bus's socket")
        self.process = LoggedProcess(
            name,
            [*_ENDS_WITH_US, *namespace.inside([str(JAMID_PATH), "-c", "-d", "-p"])],
            env=env,
            on_line=on_line,
            cwd=home,
        )
        self._lock = threading.Lock()
        self._connection = open_dbus_connection(bus)
        self._ears = open_dbus_connection(bus)
        self._listen()
        until(self._is_up, f"{name} on its bus", _START_TIMEOUT)

    # What 13.7 has to itself

    def ask_to_revoke(self, account: str, device: str, password: str) -> None:
        """Begin to revoke one of the account's devices."""
        self.call("revokeDevice", account, password, device)

    def ask_to_register(self, account: str, name: str, password: str) -> None:
        """Begin to register a name for the account."""
        self.call("registerName", account, password, name)

    def offer_pin(self, account: str, password: str = "") -> str:
        """Put the account's archive on the DHT for another device; return the PIN.

        Raises:
            PeerError: wrong password, or no network.
        """
        mark = len(self.signals)
        self.call("exportOnRing", account, password)
        ended = self.wait_signal("exportOnRingEnded", account, after=mark, timeout=60.0)
        _, status, pin = ended.body
        if status != 0:
            raise PeerError(f"exportOnRing ended with {status}")
        return str(pin)

    def import_pin(self, bootstrap: str, pin: str, password: str = "", **details: str) -> str:
        """Create an account that is linked to another device by its PIN."""
        return self.add_account(
            bootstrap, Account_archivePIN=pin, Account_archivePassword=password, **details
        )

    def send_text(self, account: str, uri: str, text: str) -> int:
        """Send an instant message outside of conversations; return its id."""
        return int(self.call("sendTextMessage", account, uri, {"text/plain": text}))

    def log(self) -> str:
        """Return what the daemon has logged so far."""
        return "\n".join(self.process.lines)

    # The bus

    def call(self, method: str, *arguments: object, timeout: float = 60.0) -> Any:
        """Call a method of the configuration manager; return its only result, if any.

        Raises:
            PeerError: the daemon answered with an error.
        """
        signature = self._signatures.get(method)
        if signature is None:
            raise PeerError(f"13.7 has no method {method}")
        return self._call(_MANAGER, method, signature, arguments, timeout)

    def _call(
        self,
        address: DBusAddress,
        method: str,
        signature: str,
        arguments: tuple[object, ...] = (),
        timeout: float = 60.0,
    ) -> Any:
        message = new_method_call(address, method, signature or None, arguments)
        with self._lock:
            reply = self._connection.send_and_get_reply(message, timeout=timeout)
        if reply.header.message_type is MessageType.error:
            raise PeerError(f"{method}: {reply.body}")
        return reply.body[0] if reply.body else None

    def _is_up(self) -> bool:
        """Whether the daemon tells what its methods take, the way to know how to call them."""
        with contextlib.suppress(PeerError):
            described = self._call(_DESCRIBED, "Introspect", "")
            self._signatures = {
                str(method.get("name")): "".join(
                    str(argument.get("type"))
                    for argument in method.iter("arg")
                    if argument.get("direction") != "out"
                )
                for method in ET.fromstring(described).iter("method")  # noqa: S314 - our peer
            }
        return bool(self._signatures)

    def _listen(self) -> None:
        rule = MatchRule(type="signal", sender=_SERVICE)
        self._ears.send_and_get_reply(message_bus.AddMatch(rule), timeout=5.0)

        def hear(ears: DBusConnection) -> None:
            with contextlib.suppress(OSError, EOFError):  # the bus has ended
                while True:
                    message = ears.receive()
                    if message.header.message_type is MessageType.signal:
                        name = next(
                            str(value)
                            for field, value in message.header.fields.items()
                            if field.name == "member"
                        )
                        self.hear(name, tuple(message.body))

        threading.Thread(target=hear, args=(self._ears,), daemon=True).start()

    def close(self) -> None:
        """End the daemon and its bus."""
        for process in (self.process, self._bus):
            process.signal(signal.SIGKILL)
            process.kill()
        for connection in (self._connection, self._ears):
            with contextlib.suppress(OSError):
                connection.close()


def version() -> str:
    """Return the installed version, as the package manager knows it."""
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "jami-daemon"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout
