"""`account.profiles`: what we look like to others, and what they look like."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, DecodeError, DeviceId, ShoalError
from shoal.core.records import dataclass
from shoal.identity.driver.files import read_file, sweep
from shoal.identity.errors import AccountFileError
from shoal.net.errors import ChannelDeclinedError, NetError
from shoal.node.account.profiles import (
    FOLDER,
    OWN_FILE,
    STATE_FILE,
    STATE_SIZE_MAX,
    AskProfile,
    ProfileEngine,
    ProfileState,
    PushProfile,
)
from shoal.node.driver.ids import account_of
from shoal.node.driver.ordered import OrderedEffects
from shoal.node.driver.tasks import TaskSet
from shoal.node.events import (
    ConnectionOpened,
    ContactChanged,
    ConversationEvent,
    Lagged,
    RequestReceived,
)
from shoal.swarm import VCARD_SIZE_MAX, Role, VCard, read_vcard, write_person
from shoal.swarm.effects import ConversationReady, MembersChanged
from shoal.transfer import FileRequest, ProfileQuestion, parse_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from shoal.core import ConversationId
    from shoal.net.driver import Channel
    from shoal.node.driver.account import Account
    from shoal.node.driver.bus import EventBus

_log = logging.getLogger(__name__)

AT_ONCE: Final = 8  # ours: channels for profiles that we open
PATIENCE: Final = 60.0  # seconds that one may take; ours
PAYLOAD_SIZE_MAX: Final = 64_000  # bytes: of a request to become a contact; Jami
PAYLOADS_MAX: Final = 1_024  # ours: of requests, until they are answered
_PIECE: Final = 60_000  # bytes: one packet


@dataclass(frozen=True, slots=True)
class Profile:
    """What somebody looks like, without the picture itself.

    Attributes:
        name: what they call themselves, or "".
        has_picture: whether there is one; `account.profiles.card` gives it.
    """

    name: str = ""
    has_picture: bool = False


class Profiles:
    """The profile of an account, and those of the people that it knows."""

    def __init__(self, account: Account, folder: Path, bus: EventBus) -> None:
        self._account = account
        self._folder = folder
        self._bus = bus
        self._tasks = TaskSet()
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._effects = OrderedEffects(self._obey, account.vault.folder.apply, self._tasks)
        self._payloads: dict[AccountId, bytes] = {}
        self._engine: ProfileEngine
        self._is_closed = False

    # Life

    async def start(self, *, is_offline: bool = False) -> None:
        """Read what is on disk, and give our profile to whom it is for, unless we are offline.

        Raises:
            AccountFileError: a file cannot be read.
        """
        own, state = await asyncio.to_thread(self._read)
        self._engine = ProfileEngine(
            self._account.id,
            self._account.device_id,
            own or VCard(self._account.name),
            state,
            shared_with=self._shared_with,
        )
        if is_offline:
            return
        self._account.files.profiles = self
        self._tasks.start(self._follow())

    async def close(self) -> None:
        """Give nothing to anybody any more."""
        self._is_closed = True
        await self._effects.drained()
        await self._tasks.close()

    # What people see

    @property
    def own(self) -> VCard:
        """Our profile; until one was made, the display name alone."""
        self._engine.renamed(self._account.name)
        return self._engine.own

    def __getitem__(self, account: AccountId | str) -> Profile:
        """Return what somebody looks like; an empty profile if nobody has told us."""
        name = account_of(account)
        if name == self._account.id:
            return Profile(self.own.name, bool(self.own.picture))
        known = self._engine.people.get(name)
        return Profile() if known is None else Profile(known.name, known.has_picture)

    async def card(self, account: AccountId | str) -> VCard:
        """Return somebody's whole profile, with the picture; an empty one if there is none.

        Raises:
            AccountFileError: it cannot be read.
        """
        name = account_of(account)
        if name == self._account.id:
            return self.own
        data = await asyncio.to_thread(self._read_file, f"{FOLDER}/{name}.vcf")
        return _card(data) or VCard()

    async def set_own(self, *, name: str | None = None, picture: bytes | None = None) -> VCard:
        """Change our name or picture, and tell everybody; b"" takes the picture away.

        Raises:
            InvalidProfileError: the name is too long, or the picture is none.
            AccountFileError: it cannot be written.
        """
        card = self.own.changed(name=name, picture=picture)
        if name is not None and name != self._account.name:
            await self._account.rename(name)
        self._apply(self._engine.set_own(card, self._connected(), time.time()))
        await self._effects.drained()
        error, self._effects.error = self._effects.error, None
        if error is not None:
            raise error
        return card

    def payload(self) -> bytes:
        """Return what goes out with a request to become a contact."""
        data = write_person(self.own)
        if len(data) <= PAYLOAD_SIZE_MAX:
            return data
        return write_person(VCard(self.own.name))

    # For channels

    def accepts(self, account: AccountId, device: DeviceId, name: str) -> bool:
        """Whether a channel that carries a profile is taken."""
        try:
            found = parse_name(name)
        except DecodeError:
            return False
        return not isinstance(found, FileRequest) and self._engine.accepts(account, found)

    async def serve(self, channel: Channel) -> None:
        """Take a channel that `accepts` took, to its end."""
        found, peer = parse_name(channel.name), channel.peer
        assert not isinstance(found, FileRequest), "those are not for us"
        try:
            async with asyncio.timeout(PATIENCE):
                if isinstance(found, ProfileQuestion):
                    await _write(channel, await self._answer(found.account))
                    return
                data = await _read_all(channel)
        except (NetError, TimeoutError) as error:
            _log.info("x profile: %s", error)
            return
        self._apply(self._engine.pushed_to_us(peer.account, peer.device, found, data, time.time()))

    async def _answer(self, account: AccountId) -> bytes:
        if account == self._account.id:
            return write_person(self.own)
        return await asyncio.to_thread(self._read_file, f"{FOLDER}/{account}.vcf") or b""

    # Effects

    def _apply(self, effects: Sequence[object]) -> None:
        if effects and not self._is_closed:
            self._effects.apply(effects)

    def _obey(self, effect: object) -> None:
        match effect:
            case PushProfile():
                self._tasks.start(self._push(effect))
            case AskProfile():
                self._tasks.start(self._ask(effect))
            case _:
                self._bus.publish(effect)  # type: ignore[arg-type]  # ProfileReceived

    async def _push(self, order: PushProfile) -> None:
        is_taken = False
        try:
            async with self._limit, asyncio.timeout(PATIENCE):
                channel = await self._open(order)
                await _write(channel, order.data)
                is_taken = True
        except (NetError, TimeoutError) as error:
            _log.info("x profile: %s", error)
        finally:
            self._apply(self._engine.pushed(order, is_taken=is_taken))

    async def _open(self, order: PushProfile) -> Channel:
        """Open the channel for a push.

        Raises:
            NetError: the device takes none.
        """
        try:
            return await self._account.connect(order.device, order.name)
        except NetError as error:
            was_declined = isinstance(getattr(error, "cause", error), ChannelDeclinedError)
            if not was_declined or order.account != self._account.id:
                raise
        return await self._account.connect(order.device, order.plain_name)

    async def _ask(self, order: AskProfile) -> None:
        try:
            async with self._limit, asyncio.timeout(PATIENCE):
                channel = await self._account.connect(order.device, order.name)
                data = await _read_all(channel)
        except (ShoalError, TimeoutError) as error:  # too much is asked for at once, too
            _log.info("x profile: %s", error)
            self._engine.unanswered(order)
            return
        self._apply(self._engine.answered(order, data))

    # What happens

    async def _follow(self) -> None:
        own = self._account.id
        with self._bus.subscribe() as events:
            async for numbered in events:
                if isinstance(numbered, Lagged):
                    self._meet_all()
                    continue
                match numbered.event:
                    case ConnectionOpened(account, peer, device) if account == own:
                        self._meet(peer, device)
                    case ConversationEvent(account, MembersChanged() | ConversationReady()):
                        if account == own:
                            self._meet_all()
                    case RequestReceived(account, peer, _, payload) if account == own:
                        self._remember(peer, payload)
                    case ContactChanged(account, peer, is_active=True) if account == own:
                        if peer not in self._engine.people and peer in self._payloads:
                            self._apply(self._engine.received(peer, self._payloads.pop(peer)))
                        self._meet_all()
                    case _:
                        pass

    def _remember(self, peer: AccountId, payload: bytes) -> None:
        """Keep what came with a request, for when it is accepted."""
        self._payloads[peer] = payload
        if len(self._payloads) > PAYLOADS_MAX:
            del self._payloads[next(iter(self._payloads))]

    def _meet(self, peer: AccountId, device: DeviceId) -> None:
        self._engine.renamed(self._account.name)
        self._apply(self._engine.connected(peer, device))
        own = peer == self._account.id
        people = self._people() if own else ((peer, each) for each in self._shared_with(peer)[:1])
        self._apply(self._engine.wanted(people, device))

    def _meet_all(self) -> None:
        for peer, device in set(self._connected()):
            self._meet(peer, device)

    def _connected(self) -> Iterator[tuple[AccountId, DeviceId]]:
        for info in self._account.connections():
            yield info.account, info.device

    def _people(self) -> Iterator[tuple[AccountId, ConversationId]]:
        """Iterate over the members of our conversations."""
        for identifier, session in list(self._account.talking.engine.sessions.items()):
            if session.view is not None:
                for account, role in session.view.members.items():
                    if role.is_inside:
                        yield account, identifier

    def _shared_with(self, account: AccountId) -> list[ConversationId]:
        """Return the conversations that somebody is in with us, that of two first."""
        engine = self._account.talking.engine
        found = [
            identifier
            for identifier, session in engine.sessions.items()
            if engine.book.is_in(identifier)
            and session.role(account) in (Role.ADMIN, Role.MEMBER, Role.INVITED)
        ]
        contact = self._account.contacts.get(account)
        first = "" if contact is None else contact.conversation_id
        return sorted(found, key=lambda identifier: str(identifier) != first)

    # Files

    def _read(self) -> tuple[VCard | None, ProfileState]:
        sweep(self._folder / FOLDER)
        own = _card(self._read_file(OWN_FILE))
        data = read_file(self._folder / STATE_FILE, STATE_SIZE_MAX)
        try:
            return own, ProfileState() if data is None else ProfileState.unpack(data)
        except DecodeError as error:
            _log.warning("! %s counts as missing: %s", STATE_FILE, error)
            return own, ProfileState()

    def _read_file(self, name: str) -> bytes | None:
        try:
            return read_file(self._folder / name, VCARD_SIZE_MAX)
        except AccountFileError as error:
            _log.warning("! %s counts as missing: %s", name, error)
            return None


def _card(data: bytes | None) -> VCard | None:
    try:
        return read_vcard(data) if data else None
    except DecodeError:
        return None


async def _write(channel: Channel, data: bytes) -> None:
    """Write all, and close; nothing says that there is no profile."""
    for start in range(0, len(data), _PIECE):
        channel.write(data[start : start + _PIECE])
        await channel.drain()
    channel.close()
    await channel.wait_closed()


async def _read_all(channel: Channel) -> bytes:
    """Read to the end; what is too large counts as nothing."""
    data = bytearray()
    async for packet in channel:
        data += packet
        if len(data) > VCARD_SIZE_MAX:
            channel.close()
            return b""
    channel.close()
    return bytes(data)
