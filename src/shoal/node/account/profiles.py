"""Profiles of people: who gets ours, who may ask for one, and what is kept of those of others.

    device of a member connects ──► it lacks ours?          PushProfile
    device of ours connects ──────► it may know people?     AskProfile
    a push or an answer arrives ──► kept, told              Persist, ProfileReceived

Theory of operation. Our vCard goes to each device once per content; what a device has is
remembered on disk. Between our own devices the one that changed it last is right: a device of 2026
says when that was, one of 13.7 does not, and is believed where we have nothing or know that it
changed its own. Profiles of others come from their own devices, or from another device of ours.

Source: Jami's transfer_channel_handler.cpp, jamiaccount.cpp sendProfile and askForProfile.
"""

from __future__ import annotations

import hashlib
from dataclasses import field, replace
from typing import TYPE_CHECKING, Final

import msgpack

from shoal.core import AccountId, DecodeError, DeviceId, Persist
from shoal.core.records import dataclass
from shoal.node.events import ProfileReceived
from shoal.swarm import (
    VCARD_SIZE_MAX,
    VCard,
    from_file_time,
    read_vcard,
    to_file_time,
    write_person,
)
from shoal.transfer import SCHEME, OwnProfile, ProfilePush, ProfileQuestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeVar

    from shoal.core import ConversationId

    V = TypeVar("V")

STATE_FILE: Final = "profiles.state"
OWN_FILE: Final = "profile.vcf"  # Jami's name
FOLDER: Final = "profiles"  # Jami's name; the files in it are named by account
PEOPLE_MAX: Final = 100_000  # ours: whose profiles are kept
DEVICES_MAX: Final = 100_000  # ours: of which it is remembered what they have
ASKED_MAX: Final = 4_096  # ours: questions to one device while we run
DEVICES_ASKED_MAX: Final = 1_024  # ours: whose questions are remembered; the first are asked again
STATE_SIZE_MAX: Final = 67_108_864  # bytes, ours


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of a profile without reading it.

    Attributes:
        name: what somebody calls themselves.
        has_picture: whether there is one.
        digest: SHA3-512 of the vCard.
    """

    name: str
    has_picture: bool
    digest: bytes


@dataclass(frozen=True, slots=True)
class PushProfile:
    """Action: open a channel called *name* to a device, write *data*, close it; `pushed` follows.

    A device of ours that declines *name* is asked by *plain_name*: 13.7 knows no other.
    """

    account: AccountId
    device: DeviceId
    name: str
    plain_name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AskProfile:
    """Action: open a channel called *name* to a device and read it: `answered`, `unanswered`."""

    account: AccountId
    device: DeviceId
    name: str


@dataclass(slots=True)
class ProfileState:
    """What is kept beside the vCards themselves.

    Attributes:
        wall_modified: when ours was changed last; 0 if nobody ever did.
        sent: the digest of what each device has of ours.
        heard: the digest of what each other device of our account pushed last.
        people: whose profiles are here.
    """

    wall_modified: int = 0
    sent: dict[DeviceId, bytes] = field(default_factory=dict)
    heard: dict[DeviceId, bytes] = field(default_factory=dict)
    people: dict[AccountId, Summary] = field(default_factory=dict)

    def pack(self) -> bytes:
        """Return it as its file has it."""
        people = {bytes(k): [s.name, s.has_picture, s.digest] for k, s in self.people.items()}
        packed: bytes = msgpack.packb(
            {
                "modified": self.wall_modified,
                "sent": {bytes(key): digest for key, digest in self.sent.items()},
                "heard": {bytes(key): digest for key, digest in self.heard.items()},
                "people": people,
            }
        )
        return packed

    @classmethod
    def unpack(cls, data: bytes) -> ProfileState:
        """Read what `pack` wrote.

        Raises:
            DecodeError: it is something else.
        """
        try:
            found = msgpack.unpackb(data, strict_map_key=False)
            return cls(
                int(found["modified"]),
                {DeviceId(key): bytes(digest) for key, digest in found["sent"].items()},
                {DeviceId(key): bytes(digest) for key, digest in found["heard"].items()},
                {
                    AccountId(key): Summary(str(name), bool(has_picture), bytes(digest))
                    for key, (name, has_picture, digest) in found["people"].items()
                },
            )
        except (
            *(ValueError, TypeError, LookupError, AttributeError, RecursionError),
            msgpack.UnpackException,
        ) as error:
            raise DecodeError("not the state of profiles") from error


class ProfileEngine:
    """The profiles that one device of an account has, and whom it gives them to."""

    def __init__(
        self,
        account: AccountId,
        device: DeviceId,
        own: VCard,
        state: ProfileState,
        *,
        shared_with: Callable[[AccountId], Iterable[ConversationId]],
    ) -> None:
        """Go on with *state*; *shared_with* gives the conversations that we have with somebody."""
        self.state = state
        self._account = account
        self._device = device
        self._own = own
        self._data = write_person(own)
        self._shared_with = shared_with
        self._pushing: set[DeviceId] = set()
        self._asked: dict[DeviceId, set[AccountId]] = {}

    # --- Ours ---------------------------------------------------------------------------------

    @property
    def own(self) -> VCard:
        """Our profile."""
        return self._own

    @property
    def people(self) -> Mapping[AccountId, Summary]:
        """Whose profiles are here."""
        return self.state.people

    def set_own(
        self, card: VCard, connected: Iterable[tuple[AccountId, DeviceId]], wall_now: float
    ) -> list[object]:
        """Change our profile, and give it to the devices that are connected."""
        modified = max(int(wall_now), self.state.wall_modified + 1)
        effects = self._keep_own(card, modified)
        for account, device in connected:
            effects += self.connected(account, device)
        return effects

    def renamed(self, name: str) -> None:
        """Take another display name, as long as nobody has made a profile."""
        if not self.state.wall_modified and name != self._own.name:
            self._own = replace(self._own, name=name)
            self._data = write_person(self._own)

    def connected(self, account: AccountId, device: DeviceId) -> list[object]:
        """Give our profile to a device that does not have it, if we may; it is connected."""
        data = self._data
        if device in self._pushing or self.state.sent.get(device) == _digest(data):
            return []
        if account == self._account:
            if not self.state.wall_modified:
                return []  # it has the same name from the account itself
            modified = to_file_time(self.state.wall_modified)
            plain = f"{SCHEME}{OWN_FILE}"
            name = f"{plain}?sha3={hashlib.sha3_512(data).hexdigest()}&modified={modified}"
        else:
            conversation = next(iter(self._shared_with(account)), None)
            if conversation is None:
                return []
            # No query: 13.7 would keep the vCard under a wrong name.
            name = plain = f"{SCHEME}{conversation}/{self._device}/{OWN_FILE}"
        self._pushing.add(device)
        return [PushProfile(account, device, name, plain, data)]

    def pushed(self, order: PushProfile, *, is_taken: bool) -> list[object]:
        """A push has ended."""
        self._pushing.discard(order.device)
        if not is_taken:
            return []
        _remember(self.state.sent, order.device, _digest(order.data), DEVICES_MAX)
        return [self._keep_state()]

    # --- Theirs -------------------------------------------------------------------------------

    def wanted(
        self, people: Iterable[tuple[AccountId, ConversationId]], device: DeviceId
    ) -> list[object]:
        """Ask a device for profiles that we lack, once each: ours for all, others for their own."""
        asked = self._asked.get(device, set())
        _remember(self._asked, device, asked, DEVICES_ASKED_MAX)
        effects: list[object] = []
        for account, conversation in people:
            is_known = account in self.state.people or account == self._account
            if is_known or account in asked or len(asked) >= ASKED_MAX:
                continue
            asked.add(account)
            name = f"{SCHEME}{conversation}/profile/{account}.vcf"
            effects.append(AskProfile(account, device, name))
        return effects

    def unanswered(self, order: AskProfile) -> None:
        """A device could not be asked, or declined: it is asked again when there is a reason to."""
        self._asked.get(order.device, set()).discard(order.account)

    def answered(self, order: AskProfile, data: bytes) -> list[object]:
        """A device that was asked has written this: nothing, if it has none, or half of one."""
        if data and _read(data) is None:
            self.unanswered(order)
        return self.received(order.account, data)

    def accepts(self, account: AccountId, name: ProfilePush | ProfileQuestion | OwnProfile) -> bool:
        """Whether a channel that a device of *account* asks for is taken."""
        is_own = account == self._account
        match name:
            case OwnProfile():
                return is_own
            case ProfilePush(conversation, device):
                is_ours = device == self._device
                return not is_own and not is_ours and conversation in self._shared_with(account)
            case ProfileQuestion(conversation, wanted):
                is_ours = wanted == self._account
                return is_own or (is_ours and conversation in self._shared_with(account))

    def pushed_to_us(
        self,
        account: AccountId,
        device: DeviceId,
        name: ProfilePush | OwnProfile,
        data: bytes,
        wall_now: float,
    ) -> list[object]:
        """Take what a device wrote on a channel that was accepted; nothing is no profile."""
        if name.sha3_512 and name.sha3_512 != hashlib.sha3_512(data).hexdigest():
            return []
        if isinstance(name, ProfilePush):
            return self.received(account, data)
        card = _read(data)
        if card is None:
            return []
        modified = from_file_time(name.wall_modified)
        before = self.state.heard.get(device)
        _remember(self.state.heard, device, _digest(data), DEVICES_MAX)
        has_changed = before is not None and before != _digest(data)
        is_newer = modified > self.state.wall_modified
        if not is_newer and (modified or (self.state.wall_modified and not has_changed)):
            return [self._keep_state()]
        kept = self._keep_own(card, modified or int(wall_now))
        _remember(self.state.sent, device, _digest(self._data), DEVICES_MAX)
        return [*kept, ProfileReceived(self._account, self._account, card.name, bool(card.picture))]

    def received(self, account: AccountId, data: bytes) -> list[object]:
        """Take somebody's vCard: from a device of theirs, or one of ours."""
        card = _read(data)
        if card is None or account == self._account:
            return []
        known = self.state.people.get(account)
        digest = _digest(data)
        if known is not None and known.digest == digest:
            return []
        if known is None and len(self.state.people) >= PEOPLE_MAX:
            return []
        self.state.people[account] = Summary(card.name, bool(card.picture), digest)
        return [
            Persist(f"{FOLDER}/{account}.vcf", data),
            self._keep_state(),
            ProfileReceived(self._account, account, card.name, bool(card.picture)),
        ]

    def _keep_own(self, card: VCard, wall_modified: int) -> list[object]:
        self._own, self._data = card, write_person(card)
        self.state.wall_modified = wall_modified
        return [Persist(OWN_FILE, self._data), self._keep_state()]

    def _keep_state(self) -> Persist:
        return Persist(STATE_FILE, self.state.pack())


def _read(data: bytes) -> VCard | None:
    if not data or len(data) > VCARD_SIZE_MAX:
        return None
    try:
        return read_vcard(data, needs_end=True)
    except DecodeError:
        return None


def _remember(known: dict[DeviceId, V], device: DeviceId, what: V, limit: int) -> None:
    """Note something of a device, as the latest; of too many the first is forgotten."""
    known.pop(device, None)
    known[device] = what
    while len(known) > limit:
        del known[next(iter(known))]


def _digest(data: bytes) -> bytes:
    return hashlib.sha3_512(data).digest()
