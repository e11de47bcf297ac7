"""What both generations of Jami can be asked to do, so that one test serves both.

Debian's `jamid` 13.7 is behind a D-Bus, the library of 2026 behind JSON lines; their methods and
signals carry the same names, but for what a method says otherwise.
"""

from __future__ import annotations

import abc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from tests.peers.peer import LOOPBACK
from tests.peers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.peers.namespaces import Namespace
    from tests.peers.process import LoggedProcess

_PAUSE: Final = 0.1  # seconds between two questions to a daemon that has better things to do
_ANSWER_PATIENCE: Final = 60.0  # seconds for what takes a daemon one look at network or archive


@dataclass(frozen=True, slots=True)
class Signal:
    """Something the daemon announced; *at* is monotonic."""

    name: str
    body: tuple[Any, ...]
    at: float


@dataclass(frozen=True, slots=True)
class JamiAccount:
    """An account of a daemon."""

    daemon: JamiDaemon
    name: str  # the daemon's own for it

    @property
    def uri(self) -> str:
        """Its id, 40 hex digits."""
        return self.daemon.uri(self.name)

    @property
    def device(self) -> str:
        """The long id of the daemon's device, 64 hex digits."""
        return self.daemon.device(self.name)


class JamiDaemon(abc.ABC):
    """One process of Jami with any number of accounts; an account is named by 16 hex digits."""

    kind: ClassVar[str]
    process: LoggedProcess
    namespace: Namespace | None
    home: Path
    signals: list[Signal]

    @abc.abstractmethod
    def call(self, method: str, *arguments: object, timeout: float = 60.0) -> Any:
        """Call a method by its name; return its result, if any.

        Raises:
            PeerError: the daemon answered with an error.
        """

    @abc.abstractmethod
    def log(self) -> str:
        """Return what the daemon has logged so far."""

    @abc.abstractmethod
    def close(self) -> None:
        """End the daemon."""

    @property
    def host(self) -> str:
        """The address it runs at."""
        return self.namespace.host if self.namespace else LOOPBACK

    # Accounts

    def add_account(self, bootstrap: str, **details: str) -> str:
        """Create an account that knows one bootstrap node, HOST:PORT, and nobody else.

        In the names of *details* an underscore stands for the dot.
        """
        wanted = {
            "Account.type": "RING",
            "Account.alias": self.process.name,
            "Account.displayName": self.process.name,
            "Account.hostname": bootstrap,
            "Account.upnpEnabled": "false",
            "Account.proxyEnabled": "false",
            "Account.dhtProxyListEnabled": "false",
            "Account.bootstrapListUrl": "",
            "Account.peerDiscovery": "false",
            "Account.accountDiscovery": "false",
            "Account.accountPublish": "false",
            "RingNS.uri": f"http://{self.host}:9",  # nobody answers there
            "TURN.enable": "false",
            **{name.replace("_", "."): value for name, value in details.items()},
        }
        return str(self.call("addAccount", wanted))

    def import_archive(self, bootstrap: str, path: Path, password: str = "", **details: str) -> str:
        """Create an account from an archive file."""
        return self.add_account(
            bootstrap, Account_archivePath=str(path), Account_archivePassword=password, **details
        )

    def folder(self, account: str) -> Path:
        """Where the account's archive, certificates and lists are."""
        return self.home / "data_home" / "jami" / account

    def export_archive(self, account: str, path: Path, password: str = "") -> bool:
        """Write the account's archive into a file; return whether that worked.

        The addon of 2026 cannot hand over a password: take `archive.gz` from the folder.
        """
        return bool(self.call("exportToFile", account, str(path), password))

    def change_password(self, account: str, old: str, new: str) -> bool:
        """Change the archive's password; return whether the old one was right."""
        return bool(self.call("changeAccountPassword", account, old, new))

    def set_active(self, account: str, is_active: bool) -> None:
        """Switch an account on or off."""
        self.call("sendRegister", account, is_active)

    def state(self, account: str) -> dict[str, str]:
        """Return the volatile details: registration, device announcement, …."""
        return dict(self.call("getVolatileAccountDetails", account))

    def details(self, account: str) -> dict[str, str]:
        """Return the account's settings."""
        return dict(self.call("getAccountDetails", account))

    def wait_registered(self, account: str, timeout: float = 60.0) -> None:
        """Wait until the account counts itself as connected to the DHT."""
        until(
            lambda: self.state(account).get("Account.registrationStatus") == "REGISTERED",
            f"{self.process.name} registered",
            timeout,
            pause=_PAUSE,
        )

    def wait_announced(self, account: str, timeout: float = 90.0) -> None:
        """Wait until the account's device is on the DHT; only then others find it."""
        until(
            lambda: self.state(account).get("Account.deviceAnnounced") == "true",
            f"{self.process.name}'s device announced",
            timeout,
            pause=_PAUSE,
        )

    def wait_refused(self, account: str, timeout: float = 90.0) -> str:
        """Wait until making the account has failed; return the state that says so."""
        return until(
            lambda: next(
                (
                    str(signal.body[1])
                    for signal in self.announced("registrationStateChanged")
                    if signal.body[0] == account and str(signal.body[1]).startswith("ERROR")
                ),
                None,
            ),
            f"{self.process.name} to refuse the account",
            timeout,
        )

    def uri(self, account: str) -> str:
        """Return the account's id, 40 hex digits."""
        return self.details(account)["Account.username"].removeprefix("ring:")

    def device(self, account: str) -> str:
        """Return the long id of this daemon's device, 64 hex digits."""
        known = {**self.details(account), **self.state(account)}  # each generation has it elsewhere
        return known["Account.deviceID"]

    # Devices

    def known_devices(self, account: str) -> dict[str, str]:
        """Return the names of the account's devices by their long ids."""
        return dict(self.call("getKnownRingDevices", account))

    @abc.abstractmethod
    def ask_to_revoke(self, account: str, device: str, password: str) -> None:
        """Begin to revoke one of the account's devices."""

    def revoke(self, account: str, device: str, password: str = "") -> int:
        """Revoke one of the account's devices; return the status, 0 for success."""
        mark = len(self.signals)
        self.ask_to_revoke(account, device, password)
        return int(self.wait_signal("deviceRevocationEnded", account, after=mark).body[2])

    # Contacts

    def ask_for_trust(self, account: str, uri: str, profile: bytes = b"") -> None:
        """Send a trust request."""
        self.call("sendTrustRequest", account, uri, profile)

    def trust_requests(self, account: str) -> list[dict[str, str]]:
        """Return the requests that wait for an answer."""
        return [dict(request) for request in self.call("getTrustRequests", account)]

    def wait_request(self, account: str, uri: str, timeout: float = 90.0) -> dict[str, str]:
        """Wait for a trust request from the account *uri*."""
        return until(
            lambda: next((r for r in self.trust_requests(account) if r["from"] == uri), None),
            f"a trust request at {self.process.name}",
            timeout,
            pause=_PAUSE,
        )

    def accept(self, account: str, uri: str) -> bool:
        """Accept a trust request."""
        return bool(self.call("acceptTrustRequest", account, uri))

    def decline(self, account: str, uri: str) -> bool:
        """Discard a trust request."""
        return bool(self.call("discardTrustRequest", account, uri))

    def contacts(self, account: str) -> dict[str, dict[str, str]]:
        """Return what is known of each contact, by account id."""
        return {each["id"]: dict(each) for each in self.call("getContacts", account)}

    def wait_confirmed(self, account: str, uri: str, timeout: float = 90.0) -> dict[str, str]:
        """Wait until *uri* is a contact that has confirmed."""
        return until(
            lambda: (
                contact
                if (contact := self.contacts(account).get(uri, {})).get("confirmed") == "true"
                else None
            ),
            f"a confirmed contact of {self.process.name}",
            timeout,
            pause=_PAUSE,
        )

    def add_contact(self, account: str, uri: str) -> None:
        """Add a contact without asking it."""
        self.call("addContact", account, uri)

    def remove_contact(self, account: str, uri: str, *, ban: bool = False) -> None:
        """Remove a contact, or block it."""
        self.call("removeContact", account, uri, ban)

    # Conversations

    def conversations(self, account: str) -> list[str]:
        """Return the ids of the account's conversations."""
        return list(self.call("getConversations", account))

    def say(self, account: str, conversation: str, text: str) -> None:
        """Add a text to a conversation."""
        self.call("sendMessage", account, conversation, text, "", 0)

    @abc.abstractmethod
    def send_text(self, account: str, uri: str, text: str) -> int:
        """Send an instant message outside of conversations; return its id."""

    def invite(self, account: str, conversation: str, uri: str) -> None:
        """Add a member to a conversation."""
        self.call("addConversationMember", account, conversation, uri)

    # Names; what a status means: 0 success or found.

    @abc.abstractmethod
    def ask_to_register(self, account: str, name: str, password: str) -> None:
        """Begin to register a name for the account."""

    def register_name(self, account: str, name: str, password: str = "") -> int:
        """Register a name for the account; return the status."""
        mark = len(self.signals)
        self.ask_to_register(account, name, password)
        return int(self.wait_signal("nameRegistrationEnded", account, after=mark).body[1])

    def look_up_name(self, account: str, name: str, server: str = "") -> tuple[int, str]:
        """Look up a name; return the status and the account id."""
        mark = len(self.signals)
        self.call("lookupName", account, server, name)
        *_, status, address, _ = self.wait_signal("registeredNameFound", account, after=mark).body
        return int(status), str(address)

    def look_up_address(self, account: str, uri: str, server: str = "") -> tuple[int, str]:
        """Look up the name of an account; return the status and the name."""
        mark = len(self.signals)
        self.call("lookupAddress", account, server, uri)
        *_, status, _, name = self.wait_signal("registeredNameFound", account, after=mark).body
        return int(status), str(name)

    # Signals

    def announced(self, name: str, *, after: int = 0) -> list[Signal]:
        """Return the signals of that name, from number *after* on."""
        return [signal for signal in self.signals[after:] if signal.name == name]

    def wait_signal(
        self,
        name: str,
        account: str,
        *,
        after: int = 0,
        where: Callable[[Signal], bool] = lambda signal: True,
        timeout: float = _ANSWER_PATIENCE,
    ) -> Signal:
        """Wait for a signal about *account*, from number *after* on, that *where* accepts."""
        return until(
            lambda: next(
                (
                    signal
                    for signal in self.announced(name, after=after)
                    if account in signal.body[:1] and where(signal)
                ),
                None,
            ),
            f"{name} of {self.process.name}",
            timeout,
        )

    def hear(self, name: str, body: tuple[Any, ...]) -> None:
        """Take a signal; both generations' names begin small here."""
        self.signals.append(Signal(name[0].lower() + name[1:], body, time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()
