"""Debian's `jamid` 13.7 in a namespace of its own, driven over a D-Bus of its own.

Everything it writes stays below one folder. IPv6 must be off where it runs: its pjlib otherwise
waits for ever on a netlink answer.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from jeepney import DBusAddress, MatchRule, MessageType, message_bus, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from tests.peers.peer import PeerError
from tests.peers.presence import JAMID_PATH
from tests.peers.process import LoggedProcess
from tests.peers.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.namespaces import Namespace

_SERVICE: Final = "cx.ring.Ring"
_MANAGER: Final = DBusAddress(
    "/cx/ring/Ring/ConfigurationManager",
    bus_name=_SERVICE,
    interface="cx.ring.Ring.ConfigurationManager",
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


@dataclass(frozen=True, slots=True)
class Signal:
    """Something the daemon announced."""

    name: str
    body: tuple[Any, ...]


class JamidProcess:
    """One daemon with its bus."""

    def __init__(self, namespace: Namespace, home: Path, *, name: str = "jamid") -> None:
        self.namespace = namespace
        self.signals: list[Signal] = []
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
        )
        self._lock = threading.Lock()
        self._connection = open_dbus_connection(bus)
        self._ears = open_dbus_connection(bus)
        self._listen()
        until(self._is_up, f"{name} on its bus", _START_TIMEOUT)

    # Accounts

    def add_account(self, bootstrap: str, **details: str) -> str:
        """Create an account that knows one bootstrap node, HOST:PORT, and nobody else."""
        wanted = {
            "Account.type": "RING",
            "Account.alias": self.process.name,
            "Account.displayName": self.process.name,
            "Account.hostname": bootstrap,
            "Account.upnpEnabled": "false",
            "Account.proxyEnabled": "false",
            "Account.peerDiscovery": "false",
            "Account.accountDiscovery": "false",
            "Account.accountPublish": "false",
            "RingNS.uri": f"http://{self.namespace.host}:9",  # nobody answers there
            "TURN.enable": "false",
            **{name.replace("_", "."): value for name, value in details.items()},
        }
        return str(self.call("addAccount", "a{ss}", wanted))

    def state(self, account: str) -> dict[str, str]:
        """Return the volatile details: registration, device announcement, …."""
        return dict(self.call("getVolatileAccountDetails", "s", account))

    def wait_registered(self, account: str, timeout: float = 30.0) -> None:
        """Wait until the account counts itself as connected to the DHT."""
        until(
            lambda: self.state(account).get("Account.registrationStatus") == "REGISTERED",
            f"{self.process.name} registered",
            timeout,
        )

    def wait_announced(self, account: str, timeout: float = 40.0) -> None:
        """Wait until the account's device is on the DHT; only then others find it."""
        until(
            lambda: self.state(account).get("Account.deviceAnnounced") == "true",
            f"{self.process.name}'s device announced",
            timeout,
        )

    def uri(self, account: str) -> str:
        """Return the account's id, 40 hex digits."""
        return str(self.call("getAccountDetails", "s", account)["Account.username"])

    def ask_for_trust(self, account: str, uri: str) -> None:
        """Send a trust request."""
        self.call("sendTrustRequest", "ssay", account, uri, b"")

    def trust_requests(self, account: str) -> list[dict[str, str]]:
        """Return the requests that wait for an answer."""
        return [dict(request) for request in self.call("getTrustRequests", "s", account)]

    def announced(self, name: str) -> list[Signal]:
        """Return the signals of that name so far."""
        return [signal for signal in list(self.signals) if signal.name == name]

    # The bus

    def call(self, method: str, signature: str = "", *arguments: object) -> Any:
        """Call a method of the configuration manager; return its only result, if any.

        Raises:
            PeerError: the daemon answered with an error.
        """
        message = new_method_call(_MANAGER, method, signature or None, arguments)
        with self._lock:
            reply = self._connection.send_and_get_reply(message, timeout=15.0)
        if reply.header.message_type is MessageType.error:
            raise PeerError(f"{method}: {reply.body}")
        return reply.body[0] if reply.body else None

    def _is_up(self) -> bool:
        with contextlib.suppress(PeerError):
            self.call("getAccountList")
            return True
        return False

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
                        self.signals.append(Signal(name, tuple(message.body)))

        threading.Thread(target=hear, args=(self._ears,), daemon=True).start()

    def close(self) -> None:
        """End the daemon and its bus."""
        for process in (self.process, self._bus):
            process.signal(signal.SIGKILL)
            process.kill()
        for connection in (self._connection, self._ears):
            with contextlib.suppress(OSError):
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def version() -> str:
    """Return the installed version, as the package manager knows it."""
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "jami-daemon"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout
