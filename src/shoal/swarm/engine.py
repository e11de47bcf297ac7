"""All conversations of an account on one device.

Theory of operation. The host opens and accepts channels, runs jobs in one thread per conversation,
follows the presence of the accounts in `Watch`, and carries effects out in order. A command names
an *op* of the caller's and ends in one `Done` or `Failed` with it. Which channel belongs to what is
known by its number; which conversation, by the name that it was opened with:

    git://DEVICE/CONVERSATION    a fetch, from the device named
    swarm://CONVERSATION         the DRT
    msg:DEVICE, sip              notices

Source: Jami's conversation_module.cpp.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, ConversationId, DecodeError, DeviceId
from shoal.swarm import membership
from shoal.swarm.book import ConversationBook
from shoal.swarm.cloning import Clones
from shoal.swarm.contents import Mode
from shoal.swarm.context import Context
from shoal.swarm.effects import (
    CloseChannel,
    Done,
    Failed,
    FindDevices,
    TellOwnDevices,
    Watch,
)
from shoal.swarm.errors import (
    NoSuchConversationError,
    SwarmError,
)
from shoal.swarm.inviting import Inviting
from shoal.swarm.marks import Marks
from shoal.swarm.messenger import LineOpened, Messenger, NoticeArrived
from shoal.swarm.notices import (
    CommitNotice,
    ComposingNotice,
    DisplayedNotice,
    Invitation,
    InvitationWanted,
    read_notice,
)
from shoal.swarm.opening import Opening
from shoal.swarm.records import ConversationInfo, ConversationRequest
from shoal.swarm.states import MarkKind, States

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from shoal.core import CommitId, Entropy
    from shoal.swarm.contents import Content
    from shoal.swarm.context import Then
    from shoal.swarm.conversation import Conversation, Self
    from shoal.swarm.conversation import Event as HistoryEvent
    from shoal.swarm.effects import Effect
    from shoal.swarm.messenger import Dialect, MessengerEffect
    from shoal.swarm.notices import Notice
    from shoal.swarm.preferences import Preferences
    from shoal.swarm.session import Session
    from shoal.swarm.states import StoredState
    from shoal.swarm.store import GitStore

WATCHED_MAX: Final = 4_096  # ours: accounts
WATCHED_PER_CONVERSATION: Final = 16  # ours: of larger ones the first, which all watch alike
_GIT: Final = re.compile(r"git://([0-9a-f]{64})/([0-9a-f]{40})")
_SWARM: Final = re.compile(r"swarm://([0-9a-f]{40})")


class SwarmEngine:
    """Conversations, requests, and the channels that they use."""

    def __init__(
        self,
        me: Self,
        entropy: Entropy,
        open_store: Callable[[ConversationId | None], GitStore],
        *,
        wall_offset: float,
        infos: Mapping[ConversationId, ConversationInfo] | None = None,
        requests: Mapping[ConversationId, ConversationRequest] | None = None,
        stored: Mapping[ConversationId, StoredState] | None = None,
        erase_store: Callable[[ConversationId], None] = lambda identifier: None,
    ) -> None:
        """Work for *me*.

        *open_store* gives the repository of a conversation, an empty one for a clone; None asks for
        one whose id is not known yet. *erase_store* deletes one. Both are called in jobs only.
        """
        self.book = ConversationBook(infos or {}, requests or {})
        self.sessions: dict[ConversationId, Session] = {}
        self._open_store = open_store
        self._erase_store = erase_store
        self.messenger = Messenger(me.account, me.device_id, entropy, self._new_op)
        self.messenger.name = me.name
        self._context = Context(me, entropy, wall_offset, self.messenger)
        self.states = self._context.states = States(self._context, stored or {}, self._broadcast)
        self._watched: frozenset[AccountId] = frozenset()
        self._finding: dict[int, Callable[[Sequence[DeviceId], float], list[Effect]]] = {}
        self._clones = Clones(self._context, self.sessions, open_store, self._watch)
        self._opening = Opening(
            *(self._context, self.book, self.sessions, self._clones, open_store),
            *(self._watch, self._erase),
        )
        self._inviting = Inviting(self._context, self.book, self.sessions, self._clones)

    @property
    def wall_offset(self) -> float:
        """What added to `now` gives the time of day."""
        return self._context.wall_offset

    @wall_offset.setter
    def wall_offset(self, offset: float) -> None:
        self._context.wall_offset = offset

    def damage(self, identifier: ConversationId) -> str | None:
        """Return why a conversation that is here cannot be opened; None if it can, or is not."""
        session = self.sessions.get(identifier)
        is_ready = session is not None and session.is_ready
        return None if is_ready else self._clones.damaged.get(identifier)

    def start(self, now: float) -> list[Effect]:
        """Open the conversations that we are in, and those that nobody knows we left."""
        effects: list[Effect] = []
        for info in list(self.book.infos.values()):
            if info.is_erased:  # that it was to be is noted first: it may not have come to it
                effects.append(self._erasing(info.id, lambda _, now: []))
            elif self._context.farewells.is_over(info, self._context.wall_ms(now)):
                effects += self._erase(info.id, now)
            else:
                effects += self._opening.load(info, now)
        return effects

    # --- Commands -----------------------------------------------------------------------------

    def create(
        self, op: int, now: float, *, mode: Mode = Mode.INVITES_ONLY, other: AccountId | None = None
    ) -> list[Effect]:
        """Begin a conversation; `Done` gives its id."""
        return self._opening.create(op, now, mode, other)

    def change(
        self,
        op: int,
        identifier: ConversationId,
        command: Callable[[Conversation, float], list[HistoryEvent]],
        now: float,
    ) -> list[Effect]:
        """Run *command* on a conversation and the time of day, and tell the others what it did.

        `Done` gives the events. Commands are `Conversation.say` and those of `membership`.
        """
        session = self._usable(identifier)
        if session is None or not session.is_ready:
            return self._refuse(op, NoSuchConversationError())
        wall_now = self._context.wall_now(now)
        return session.run(
            lambda conversation: command(conversation, wall_now),
            lambda events, now: [*self._watch(), Done(op, events)],
            self._context.fail(op),
        )

    def say(
        self, op: int, identifier: ConversationId, content: Content, now: float
    ) -> list[Effect]:
        """Say something; `Done` gives the events, the first of which has the message."""
        return self.change(op, identifier, lambda each, wall_now: each.say(content, wall_now), now)

    def leave(self, op: int, identifier: ConversationId, now: float) -> list[Effect]:
        """Leave a conversation: a group hears of it, and is forgotten once it has."""
        session = self._usable(identifier)
        view = None if session is None else session.view
        is_damaged = self.damage(identifier) is not None
        if (session is None or view is None) and not is_damaged:
            return self._refuse(op, NoSuchConversationError())
        if session is None or view is None or view.mode is Mode.ONE_TO_ONE:
            left = self.book.leave(identifier, self._context.wall_ms(now))
            return [*left, *self._erase(identifier, now), Done(op, None)]

        def done(_: object, now: float) -> list[Effect]:
            return [*self.book.leave(identifier, self._context.wall_ms(now)), Done(op, None)]

        wall_now = self._context.wall_now(now)
        return session.run(
            lambda each: membership.leave(each, wall_now), done, self._context.fail(op)
        )

    def accept(self, op: int, identifier: ConversationId, now: float) -> list[Effect]:
        """Accept an invitation: clone from the inviter's devices, and join."""
        request = self.book.requests.get(identifier)
        if request is None:
            return self._refuse(op, NoSuchConversationError())

        def begin(_: object, now: float) -> list[Effect]:
            dropped = self.book.drop_request(identifier)
            return dropped + self.clone(op, identifier, request.sender, now, mode=request.mode)

        if identifier not in self.book.infos or self.book.is_in(identifier):
            return begin(None, now)
        left = self.sessions.pop(identifier, None)  # that we left it, nobody need hear any more
        closing = [] if left is None else left.close()
        return [*closing, self._erasing(identifier, begin)]

    def decline(self, op: int, identifier: ConversationId, now: float) -> list[Effect]:
        """Decline an invitation; nobody but our own devices hears of it."""
        declined = self.book.decline(identifier, self._context.wall_ms(now))
        if not declined:
            return self._refuse(op, NoSuchConversationError())
        return [*declined, Done(op, None)]

    def clone(
        self,
        op: int,
        identifier: ConversationId,
        source: AccountId,
        now: float,
        *,
        mode: Mode = Mode.ONE_TO_ONE,
    ) -> list[Effect]:
        """Clone a conversation from the devices of *source*, now or when they come online."""
        effects: list[Effect] = []
        if not self.book.is_in(identifier):
            members = (self._context.me.account, source)
            left = self.book.infos.get(identifier)
            created = max(self._context.wall_ms(now), 0 if left is None else left.removed_ms + 1)
            info = ConversationInfo(identifier, created, members=members, mode=mode)
            effects += self.book.add(info)
        self._clones.sources[identifier] = source
        find = self._new_op()
        self._finding[find] = lambda devices, now: self._clones.fetch(op, identifier, devices, now)
        return [*effects, *self._watch(), FindDevices(find, source)]

    def set_displayed(
        self, op: int, identifier: ConversationId, commit: CommitId, now: float
    ) -> list[Effect]:
        """Tell the members who are connected that we have seen all up to *commit*."""
        session = self.sessions.get(identifier)
        if session is None:
            return self._refuse(op, NoSuchConversationError())
        own = self._context.me.account
        effects = self.states.heard(session, own, MarkKind.DISPLAYED, commit, now)
        notice = DisplayedNotice(identifier, commit)
        return [*effects, *self._broadcast(session, notice, now), Done(op, None)]

    def set_composing(
        self, op: int, identifier: ConversationId, now: float, *, is_active: bool
    ) -> list[Effect]:
        """Tell the members who are connected that we are typing, or have stopped."""
        session = self.sessions.get(identifier)
        if session is None:
            return self._refuse(op, NoSuchConversationError())
        return [*self.states.set_typing(session, now, is_active=is_active), Done(op, None)]

    def prefer(
        self,
        op: int,
        identifier: ConversationId,
        changes: Mapping[str, str | None],
        now: float,
    ) -> list[Effect]:
        """Change what the user wants of a conversation."""
        if not self.book.is_in(identifier):
            return self._refuse(op, NoSuchConversationError())
        try:
            return [*self.states.prefer(identifier, changes, now), Done(op, None)]
        except SwarmError as error:
            return self._refuse(op, error)

    def stop(self, now: float) -> list[Effect]:
        """Keep what has not been kept yet."""
        return self.states.settle()

    def shared_records(
        self,
    ) -> tuple[dict[ConversationId, ConversationInfo], dict[ConversationId, ConversationRequest]]:
        """Return what our other devices are told of conversations and of invitations."""
        infos = {
            key: replace(info, last_displayed=self.states.last_displayed(key))
            for key, info in self.book.infos.items()
        }
        return infos, self.book.declined | self.book.requests

    def shared_states(self) -> TellOwnDevices:
        """Return what they are told beside that."""
        return self.states.packed()

    # --- Our other devices --------------------------------------------------------------------

    def synced(
        self,
        infos: Iterable[ConversationInfo],
        requests: Iterable[ConversationRequest],
        now: float,
        *,
        preferences: Mapping[ConversationId, Preferences] | None = None,
        marks: Mapping[ConversationId, Mapping[AccountId, Marks]] | None = None,
    ) -> list[Effect]:
        """Take what another device of ours knows: clone what it has, leave what it left."""
        effects: list[Effect] = []
        displayed: dict[ConversationId, Mapping[AccountId, Marks]] = {}
        for info in infos:
            news, is_here = self.book.merge(info), info.id in self.sessions
            if news or not (info.is_removed or is_here):
                effects += [*news, *self._follow(info.id, now)]
            if info.last_displayed is not None:  # as 13.7 tells of it
                displayed[info.id] = {self._context.me.account: Marks(None, 0, info.last_displayed)}
        for request in requests:
            effects += self.book.merge_request(request)
        ours = [identifier for identifier in self.book.infos if self.book.is_in(identifier)]
        for identifier in ours:
            session = self.sessions.get(identifier)
            for told in (displayed, marks or {}):
                effects += self.states.synced(identifier, told.get(identifier, {}), session, now)
            if preferences and identifier in preferences:
                effects += self.states.preferences_synced(identifier, preferences[identifier])
        return effects

    def _follow(self, identifier: ConversationId, now: float) -> list[Effect]:
        """Do what makes a merged record true."""
        session = self.sessions.get(identifier)
        if not self.book.is_in(identifier):
            # Where our history says that we left, others may still hear it from us.
            self._clones.forget(identifier)
            is_here = session is not None and session.role(self._context.me.account) is not None
            return self._erase(identifier, now) if is_here else []
        if session is not None:
            return []
        own = self._context.me.account
        self._clones.sources.setdefault(identifier, own)
        online = sorted(self._context.online.get(own, ()))
        return [*self._watch(), *self._clones.fetch(None, identifier, online, now)]

    # --- Presence -----------------------------------------------------------------------------

    def presence(self, account: AccountId, devices: Iterable[DeviceId], now: float) -> list[Effect]:
        """These devices of a watched account, or of our own, are online now; no others are."""
        online = set(devices) - {self._context.me.device_id}
        before = self._context.online.get(account, set())
        self._context.online[account] = online
        effects: list[Effect] = []
        for device in sorted(online - before):
            for session in list(self.sessions.values()):
                effects += session.device_appeared(account, device, now)
            effects += self._clones.online(account, device, now)
        return effects

    def devices_found(self, op: int, devices: Sequence[DeviceId], now: float) -> list[Effect]:
        """The host found devices of an account."""
        then = self._finding.pop(op, None)
        return [] if then is None else then(devices, now)

    # --- Channels -----------------------------------------------------------------------------

    def is_fellow(self, account: AccountId) -> bool:
        """Whether we share a conversation with *account*, contact or not: it may connect to us."""
        is_source = account in self._clones.sources.values()
        return is_source or any(each.may_fetch(account) for each in self.sessions.values())

    def accepts(self, account: AccountId, device: DeviceId, name: str) -> bool:
        """Whether a channel that a device of *account* asks for is taken."""
        if self.messenger.accepts(name):
            return True
        session = self._session_of(name)
        return session is not None and session.may_fetch(account)

    def channel_accepted(
        self, channel: int, account: AccountId, device: DeviceId, name: str, now: float
    ) -> list[Effect]:
        """A channel that `accepts` took is open."""
        if self.messenger.accepts(name):
            wall_now = self._context.wall_now(now)
            effects = self.messenger.accepted(channel, account, device, name, wall_now)
            return self._handle(effects, now)
        session = self._session_of(name)
        if session is None or not session.may_fetch(account):
            return [CloseChannel(channel)]
        if name.startswith("git:"):
            return session.serve(channel, account, device)
        return session.neighbour_came(channel, account, device, now)

    def channel_opened(self, op: int, channel: int, now: float) -> list[Effect]:
        """A channel that we asked for is open."""
        if op in self.messenger:
            effects = self.messenger.opened(op, channel, self._context.wall_now(now))
            return self._handle(effects, now)
        waiting = self._context.channels.pop(op, None)
        return [CloseChannel(channel)] if waiting is None else waiting.opened(channel, now)

    def open_failed(self, op: int, now: float, *, was_declined: bool) -> list[Effect]:
        """A channel that we asked for could not be opened, or was declined by the device."""
        if op in self.messenger:
            return self._handle(self.messenger.open_failed(op, was_declined=was_declined), now)
        waiting = self._context.channels.pop(op, None)
        return [] if waiting is None else waiting.failed(was_declined, now)

    def receive(self, channel: int, data: bytes, now: float) -> list[Effect]:
        """Take what came on a channel."""
        if self.messenger.has_channel(channel):
            effects = self.messenger.receive(channel, data, self._context.wall_now(now))
            return self._handle(effects, now)
        for session in self.sessions.values():
            if session.has_channel(channel):
                return session.receive(channel, data, now)
        return []

    def channel_closed(self, channel: int, now: float) -> list[Effect]:
        """A channel is gone."""
        if self.messenger.has_channel(channel):
            self.messenger.closed(channel)
            return []
        for session in self.sessions.values():
            if session.has_channel(channel):
                return session.channel_closed(channel, now)
        return []

    def message(
        self, account: AccountId, device: DeviceId, mime: str, text: str, now: float
    ) -> list[Effect]:
        """Take a message that came another way than by a channel: through the DHT."""
        try:
            notice = read_notice(mime, text)
        except DecodeError:
            return []
        return [] if notice is None else self._take_notice(account, device, notice, now)

    # --- Jobs and time ------------------------------------------------------------------------

    def worked(self, op: int, result: object, now: float) -> list[Effect]:
        """A job has ended. Should this raise, `work_failed` tells who waits for it."""
        waiting = self._context.waiting.get(op)
        effects = [] if waiting is None else self._erase_heard(waiting.then(result, now), now)
        self._context.waiting.pop(op, None)
        return effects

    def work_failed(self, op: int, error: Exception, now: float) -> list[Effect]:
        """A job has raised."""
        waiting = self._context.waiting.pop(op, None)
        return [] if waiting is None else waiting.failed(error, now)

    def next_deadline(self) -> float | None:
        """When a conversation wants time."""
        moments = [session.next_deadline() for session in self.sessions.values()]
        moments.append(self.states.next_deadline())
        return min((moment for moment in moments if moment is not None), default=None)

    def advance(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects = self.states.advance(now)
        for session in list(self.sessions.values()):
            deadline = session.next_deadline()
            if deadline is not None and deadline <= now:
                effects += session.advance(now)
        return effects

    # --- Notices ------------------------------------------------------------------------------

    def _handle(self, effects: Sequence[MessengerEffect], now: float) -> list[Effect]:
        """Pass on what the messenger wants, and take what it heard."""
        found: list[Effect] = []
        for effect in effects:
            match effect:
                case NoticeArrived(account, device, notice):
                    found += self._take_notice(account, device, notice, now)
                case LineOpened(account, device, dialect):
                    found += self._line_opened(account, device, dialect, now)
                case _:
                    found.append(effect)
        return found

    def _line_opened(
        self, account: AccountId, device: DeviceId, dialect: Dialect, now: float
    ) -> list[Effect]:
        effects = self._clones.online(account, device, now)
        for session in list(self.sessions.values()):
            effects += session.line_opened(account, device, dialect, now)
        return effects

    def _take_notice(
        self, account: AccountId, device: DeviceId, notice: Notice, now: float
    ) -> list[Effect]:
        match notice:
            case CommitNotice() | InvitationWanted() | Invitation():
                return self._inviting.take(account, device, notice, now)
            case DisplayedNotice() | ComposingNotice():
                session = self.sessions.get(notice.conversation)
                return [] if session is None else self.states.noticed(session, account, notice, now)

    def _broadcast(self, session: Session, notice: Notice, now: float) -> list[Effect]:
        """Tell the members' devices that there is a line to."""
        wall_now = self._context.wall_now(now)
        sent: list[MessengerEffect] = []
        for account, device in session.audience():
            sent += self.messenger.send(account, device, notice, wall_now, dial=False)
        return self._context.own_effects(sent)

    # --- Inside -------------------------------------------------------------------------------

    def _new_op(self) -> int:
        return self._context.new_op()

    def _refuse(self, op: int, error: SwarmError) -> list[Effect]:
        return [Failed(op, error)]

    def _usable(self, identifier: ConversationId) -> Session | None:
        """Return a conversation that we have not left."""
        return self.sessions.get(identifier) if self.book.is_in(identifier) else None

    def _erase(self, identifier: ConversationId, now: float) -> list[Effect]:
        """Let go of a conversation that we are out of."""
        self._clones.forget(identifier)
        session = self.sessions.pop(identifier, None)
        closing = [] if session is None else session.close()
        erased = self.book.erase(identifier, self._context.wall_ms(now))
        erasing = self._erasing(identifier, lambda _, now: [])
        return [*closing, *erased, *self.states.forget(identifier), erasing, *self._watch()]

    def _erasing(self, identifier: ConversationId, then: Then) -> Effect:
        """Erase the repository of a conversation, and go on whether or not that worked."""
        job = partial(self._erase_store, identifier)
        return self._context.work(identifier, job, then, lambda error, now: then(None, now))

    def _erase_heard(self, effects: list[Effect], now: float) -> list[Effect]:
        """Erase what we left, as soon as everybody has heard so."""
        for conversation in self._context.farewells.ended(self.book, self.sessions):
            effects += self._erase(conversation, now)
        return effects

    def _session_of(self, name: str) -> Session | None:
        """Return the conversation that a channel's name is about."""
        if (found := _GIT.fullmatch(name)) is not None:
            if found[1] != str(self._context.me.device_id):
                return None
            return self.sessions.get(ConversationId.from_hex(found[2]))
        if (found := _SWARM.fullmatch(name)) is not None:
            return self.sessions.get(ConversationId.from_hex(found[1]))
        return None

    def _watch(self) -> list[Effect]:
        """Follow the members of all conversations, as far as that is sensible."""
        wanted: dict[AccountId, None] = dict.fromkeys(self._clones.sources.values())
        for session in self.sessions.values():
            members = () if session.view is None else session.view.members
            for account in list(members)[:WATCHED_PER_CONVERSATION]:
                wanted[account] = None
        wanted.pop(self._context.me.account, None)
        found = frozenset(list(wanted)[:WATCHED_MAX])
        if found == self._watched:
            return []
        self._watched = found
        return [Watch(found)]
