"""Linking a device over a channel, as Jami does since 2024: both roles, over any byte channel.

```text
new device                                       old device
SHOWING   shows its address ──────────────────▶  its user gives it: `LinkOldDevice`
CONNECTING ◀────────── channel auth:DIGITS ────  CONNECTING
AUTHENTICATING ───────────────── {} ──────────▶  CONFIRMING: is this the device?  `confirm`
          ◀──────────────── authScheme ────────  AUTHENTICATING
`give_password` ───────────── password ───────▶  opens the archive: `computed`
          ◀───── accData, or: wrong, again ────  three tries
DONE      makes its own key and certificate      DONE
```

Five minutes after an engine was started it fails. Whatever ends one is one `LinkEnded`, with the
account or with an error; nothing follows it. What the peer sends is never an exception here.

Source: Jami archive_account_manager.cpp, addDevice, startLoadArchiveFromDevice; reference 2.4.
"""

from __future__ import annotations

import enum
from dataclasses import field
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import Compute, DecodeError, DeviceId
from shoal.core.records import dataclass
from shoal.crypto import (
    Identity,
    PrivateKey,
    Profile,
    generate_ec_identity,
)
from shoal.identity.archive import Archive, is_encrypted, unpack_archive, unpack_text
from shoal.identity.errors import (
    ArchiveError,
    ArchivePasswordError,
    LinkCanceledError,
    LinkError,
    LinkNetworkError,
    LinkPasswordError,
    LinkProtocolError,
    LinkTimeoutError,
)
from shoal.identity.wire.linking import (
    FIRST_MESSAGE_SIZE_MAX,
    LinkAddress,
    LinkDecoder,
    LinkMessage,
)

if TYPE_CHECKING:
    from shoal.core import Entropy

LINK_TIMEOUT: Final = 300.0  # seconds; Jami archive_account_manager.cpp: OP_TIMEOUT
TRIES_MAX: Final = 3  # Jami archive_account_manager.cpp: maxTries
_PASSWORD: Final = "password"  # noqa: S105 - the scheme's name
_TRUE, _FALSE = "true", "false"


class LinkState(enum.Enum):
    """Where linking stands; the numbers are Jami's DeviceAuthState."""

    INIT = 0
    SHOWING = 1  # the address can be shown
    CONNECTING = 2
    AUTHENTICATING = 3  # the user has something to do
    IN_PROGRESS = 4
    DONE = 5


@dataclass(frozen=True, slots=True)
class ConnectChannel:
    """Action (old device): open the channel *name* to *device*; its chain is that of nobody.

    Answer with `channel_opened` or `channel_failed`.
    """

    device: DeviceId
    name: str


@dataclass(frozen=True, slots=True)
class WriteChannel:
    """Action: send *data* on the channel, in packets of any size."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CloseChannel:
    """Action: close the channel once what was written is out; and the connection."""


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """Event: something that the user is shown.

    Attributes:
        state: where linking stands.
        needs_password: whether the user is to type the account's password.
        is_wrong: whether the last password was wrong.
        peer_address: on the old device, whose user compares it with what the new one shows.
    """

    state: LinkState
    needs_password: bool = False
    is_wrong: bool = False
    peer_address: str = ""


@dataclass(frozen=True, slots=True)
class LinkEnded:
    """Event: it is over.

    Attributes:
        error: what went wrong; None if nothing did.
        archive: on the new device, the account; make a key and certificate for this device.
    """

    error: LinkError | None = None
    archive: Archive | None = field(default=None, repr=False)


LinkEffect: TypeAlias = (
    Compute | ConnectChannel | WriteChannel | CloseChannel | LinkChanged | LinkEnded
)


class _Link:
    """What both roles share: state, deadline, the channel, and its one end."""

    def __init__(self, now: float) -> None:
        self.state = LinkState.INIT
        self._deadline: float | None = now + LINK_TIMEOUT
        self._is_open = False

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._deadline is None

    def next_deadline(self) -> float | None:
        """When the five minutes are over."""
        return self._deadline

    def advance(self, now: float) -> list[LinkEffect]:
        """Give up when the time has come."""
        if self._deadline is None or now < self._deadline:
            return []
        return self._end(LinkTimeoutError("five minutes are over"), farewell="TIMEOUT")

    def cancel(self, now: float) -> list[LinkEffect]:
        """End it; the other device is told."""
        return self._end(LinkCanceledError("canceled here"), farewell="CANCELED")

    def channel_closed(self, now: float) -> list[LinkEffect]:
        """Take note that the channel was closed, or lost with its connection."""
        self._is_open = False
        return self._end(LinkNetworkError("the other device is gone"))

    def receive_eof(self, now: float) -> list[LinkEffect]:
        """Take note that no more will come."""
        return self.channel_closed(now)

    def _change(self, state: LinkState, changed: LinkChanged | None = None) -> LinkChanged:
        self.state = state
        return changed or LinkChanged(state)

    def _say(self, **payload: str) -> WriteChannel:
        return WriteChannel(LinkMessage(payload).pack())

    def _end(
        self, error: LinkError | None, archive: Archive | None = None, farewell: str = ""
    ) -> list[LinkEffect]:
        """End once: tell the other device if it is not told otherwise, close, report."""
        if self._deadline is None:
            return []
        self._deadline = None
        self.state = LinkState.DONE
        effects: list[LinkEffect] = []
        if self._is_open:
            if farewell:
                effects.append(self._say(stateMsg=farewell))
            effects.append(CloseChannel())
            self._is_open = False
        return [*effects, LinkChanged(LinkState.DONE), LinkEnded(error, archive)]

    def _check_farewell(self, payload: LinkMessage) -> LinkError | None:
        """Return the error that the other device ends it with, if it does."""
        match payload.payload.get("stateMsg"):
            case None:
                return None
            case "TIMEOUT":
                return LinkTimeoutError("the other device gave up waiting")
            case "CANCELED":
                return LinkCanceledError("canceled on the other device")
            case other:
                return LinkProtocolError(f"the other device ends with {other[:40]!r}")


class LinkNewDevice(_Link):
    """The device that has no account yet: it shows an address, and receives the account."""

    def __init__(self, address: LinkAddress, now: float) -> None:
        super().__init__(now)
        self.address: Final = address
        self._decoder = LinkDecoder()
        self._has_scheme = False
        self._is_waiting = False  # for the user's password

    def start(self, now: float) -> list[LinkEffect]:
        """Say that the address can be shown."""
        return [self._change(LinkState.SHOWING)]

    def accepts(self, name: str) -> bool:
        """Say whether to accept a channel of this *name*: the one with our digits, once."""
        return (
            not self.is_over
            and self.state is LinkState.SHOWING
            and name == self.address.channel_name
        )

    def channel_opened(self, now: float) -> list[LinkEffect]:
        """Take note that the old device has opened the channel, which was accepted."""
        if self.is_over:
            return []
        self._is_open = True
        return [self._change(LinkState.CONNECTING), self._say()]

    def receive(self, data: bytes, now: float) -> list[LinkEffect]:
        """Take the next packet of the channel."""
        if self.is_over:
            return []
        try:
            messages = self._decoder.feed(data)
        except DecodeError as error:
            return self._end(LinkProtocolError(str(error)), farewell="CANCELED")
        effects: list[LinkEffect] = []
        for message in messages:
            effects += self._take(message)
        return effects

    def give_password(self, password: str, now: float) -> list[LinkEffect]:
        """Send what the user typed; not stored here."""
        if self.is_over or not self._is_waiting:
            return []
        self._is_waiting = False
        return [self._change(LinkState.IN_PROGRESS), self._say(password=password)]

    def _take(self, message: LinkMessage) -> list[LinkEffect]:
        """Take one message of the old device."""
        if self.is_over:
            return []
        payload = message.payload
        if (error := self._check_farewell(message)) is not None:
            return self._end(error)
        if "accData" in payload:
            return self._take_account(payload["accData"])
        if payload.get("canRetry") == _FALSE:
            return self._end(LinkPasswordError("three wrong passwords"))
        if payload.get("passwordCorrect") == _FALSE:
            return self._ask(is_wrong=True)
        return self._take_scheme(payload.get("authScheme"))

    def _take_scheme(self, scheme: str | None) -> list[LinkEffect]:
        """Take how to prove oneself; what later versions may say besides is passed over."""
        if scheme is None or self._has_scheme:
            return []
        self._has_scheme = True
        if scheme == _PASSWORD:
            return self._ask(is_wrong=False)
        if scheme:
            error = LinkProtocolError(f"the scheme {scheme[:40]!r} is unknown here")
            return self._end(error, farewell="CANCELED")
        return [self._change(LinkState.IN_PROGRESS), self._say(password="")]

    def _ask(self, *, is_wrong: bool) -> list[LinkEffect]:
        """Have the user type the password."""
        self._is_waiting = True
        asked = LinkChanged(LinkState.AUTHENTICATING, needs_password=True, is_wrong=is_wrong)
        return [self._change(LinkState.AUTHENTICATING, asked)]

    def _take_account(self, text: str) -> list[LinkEffect]:
        """Take the account."""
        try:
            archive = Archive.from_json(text)
        except ArchiveError as error:
            return self._end(LinkProtocolError(str(error)))
        return self._end(None, archive)


class LinkOldDevice(_Link):
    """The device that has the account: it is given an address, and sends the account there.

    *archive_file* is the archive as it is on disk, whose password is asked for. Contacts, settings
    and conversations are sent as *current* has them, where it is given.
    """

    def __init__(
        self,
        address: LinkAddress,
        archive_file: bytes,
        now: float,
        *,
        current: Archive | None = None,
    ) -> None:
        super().__init__(now)
        self.address: Final = address
        self._file = archive_file
        self._current = current
        self._decoder = LinkDecoder(FIRST_MESSAGE_SIZE_MAX)
        self._tries = 0
        self._is_greeted = False
        self._is_confirmed = False
        self._is_checking = False

    def start(self, now: float) -> list[LinkEffect]:
        """Order the connection to the new device."""
        connect = ConnectChannel(self.address.device, self.address.channel_name)
        return [self._change(LinkState.CONNECTING), connect]

    def channel_failed(self, reason: str, now: float) -> list[LinkEffect]:
        """Take note that there is no connection to the new device."""
        return self._end(LinkNetworkError(reason))

    def channel_opened(self, peer_address: str, now: float) -> list[LinkEffect]:
        """Ask the user whether the device at *peer_address*, an IP address, is the right one."""
        if self.is_over:
            return []
        self._is_open = True
        asked = LinkChanged(LinkState.AUTHENTICATING, peer_address=peer_address)
        return [self._change(LinkState.AUTHENTICATING, asked)]

    def confirm(self, now: float) -> list[LinkEffect]:
        """Take the user's word that it is."""
        if self.is_over or self._is_confirmed or not self._is_open:
            return []
        self._is_confirmed = True
        return self._offer()

    def receive(self, data: bytes, now: float) -> list[LinkEffect]:
        """Take the next packet of the channel."""
        if self.is_over:
            return []
        try:
            messages = self._decoder.feed(data)
        except DecodeError as error:
            return self._end(LinkProtocolError(str(error)), farewell="CANCELED")
        effects: list[LinkEffect] = []
        for message in messages:
            effects += self._take(message)
        return effects

    def computed(self, id: int, result: object, now: float) -> list[LinkEffect]:  # noqa: A002 - the field's own word
        """Take the result of a job: the account's text, None for a wrong password, or an error."""
        if self.is_over or id != self._tries:
            return []
        self._is_checking = False
        if isinstance(result, str):
            return [self._say(accData=result), *self._end(None)]
        if result is not None:
            return self._end(LinkError(f"the account's archive: {result}"), farewell="CANCELED")
        if self._tries < TRIES_MAX:
            return [
                self._change(LinkState.AUTHENTICATING),
                self._say(passwordCorrect=_FALSE, canRetry=_TRUE),
            ]
        return [
            self._say(canRetry=_FALSE),
            *self._end(LinkPasswordError("three wrong passwords")),
        ]

    def _take(self, message: LinkMessage) -> list[LinkEffect]:
        """Take one message of the new device."""
        if self.is_over:
            return []
        if (error := self._check_farewell(message)) is not None:
            return self._end(error)
        if not message.payload and not self._is_greeted:
            self._is_greeted = True
            return self._offer()
        password = message.payload.get("password")
        if password is None or not self._is_greeted or not self._is_confirmed or self._is_checking:
            return []
        self._tries += 1
        self._is_checking = True
        file, current = self._file, self._current
        job = Compute(self._tries, lambda: _open(file, password, current))
        return [self._change(LinkState.IN_PROGRESS), job]

    def _offer(self) -> list[LinkEffect]:
        """Say how to prove oneself, once the user has agreed and the new device is there."""
        if not (self._is_greeted and self._is_confirmed):
            return []
        scheme = _PASSWORD if is_encrypted(self._file) else ""
        return [self._say(authScheme=scheme)]


def _open(file: bytes, password: str, current: Archive | None) -> str | ArchiveError | None:
    """Return the account's text, with what *current* adds to it; None for a wrong password."""
    try:
        if current is None:
            return unpack_text(file, password).decode()
        keys = unpack_archive(file, password).keys
    except ArchivePasswordError:
        return None
    except ArchiveError as error:
        return error
    return Archive(keys, current.contacts, current.settings, current.others).to_json()


@dataclass(frozen=True, slots=True)
class TemporaryKeys:
    """The throw-away device that a new device is until it has an account."""

    identity: Identity

    @property
    def device(self) -> DeviceId:
        """Its long id, which the address has."""
        return DeviceId(self.identity.long_id)


def temporary_keys(
    user_key: PrivateKey, device_key: PrivateKey, *, entropy: Entropy, wall_now: float
) -> TemporaryKeys:
    """Return a throw-away chain of two RSA keys, under an authority on a curve that nobody keeps.

    Source: Jami archive_account_manager.cpp, startLoadArchiveFromDevice.
    """
    authority = generate_ec_identity("Jami Temporary CA", entropy=entropy, wall_now=wall_now)
    user = authority.issue(
        user_key,
        "Jami Temporary User",
        entropy=entropy,
        wall_now=wall_now,
        profile=Profile.AUTHORITY,
    )
    device = user.issue(device_key, "Jami Temporary device", entropy=entropy, wall_now=wall_now)
    return TemporaryKeys(device)
