"""One conversation at work: serving, the DRT, telling others, who has read what.

The `Conversation` itself is touched only in jobs, which its host runs one after the other; what is
decided here is decided by the `View` that the last job left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, CommitId, DeviceId
from shoal.swarm.contents import MemberAction, MemberEvent, Merge, Mode
from shoal.swarm.conversation import Taken
from shoal.swarm.drt import Dial, Drop, DrtEngine, Tell
from shoal.swarm.effects import (
    CloseChannel,
    ConversationReady,
    DeviceHas,
    MembersChanged,
    MessagesArrived,
    MessagesRefused,
    StreamChannel,
    WriteChannel,
)
from shoal.swarm.errors import CloneFailedError
from shoal.swarm.fetcher import Fetcher
from shoal.swarm.fetching import Send
from shoal.swarm.guests import Guest, Guests
from shoal.swarm.messenger import Dialect
from shoal.swarm.notices import CommitNotice, Invitation
from shoal.swarm.refusals import Refused
from shoal.swarm.reminders import CHANNEL_WAIT, EarlyNews, Reminders, Untold
from shoal.swarm.roles import Role
from shoal.swarm.serving import SendPack, Served, ServeEngine, ServeFailed
from shoal.swarm.view import Outcome, SessionStats, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shoal.core import ConversationId
    from shoal.swarm.context import Context
    from shoal.swarm.conversation import Conversation, Event
    from shoal.swarm.drt import DrtEffect
    from shoal.swarm.effects import Effect
    from shoal.swarm.notices import Notice
    from shoal.swarm.serving import ServeEffect
    from shoal.swarm.store import GitStore

SMALL_GROUP: Final = 16  # ours: devices; all of them are told, of larger groups the neighbours
EXTRA_TOLD: Final = 2  # Jami: random members that are no neighbours
RECENT_MAX: Final = 4_096  # ours: commits that we know we have without looking
DEVICES_MAX: Final = 16_384  # ours: of which we remember what they have
HEADS_MAX: Final = 8  # ours: what a device said lately that it has
NEIGHBOURS_PER_ACCOUNT: Final = 16  # ours: channels of the DRT that one account may open


class Session:
    """A conversation on this device, from its clone to its end."""

    def __init__(self, context: Context, identifier: ConversationId, store: GitStore) -> None:
        self.id = identifier
        self.stats = SessionStats()
        self.conversation: Conversation | None = None  # touched in its thread only
        self.view: View | None = None
        self.drt = DrtEngine(context.me.device_id, context.entropy)
        self._context = context
        self._fetcher = Fetcher(context, identifier, store, self)
        self._recent: dict[CommitId, None] = {}
        self._told: dict[DeviceId, CommitId] = {}  # what a notice said; it may have got lost
        self._has: dict[DeviceId, CommitId] = {}  # what a device surely has
        self._owners: dict[DeviceId, AccountId] = {}  # of those in `_has`
        self._had: dict[DeviceId, dict[CommitId, None]] = {}  # its latest heads, in any order
        self._invited: dict[DeviceId, int] = {}  # devices that have our invitation, and which
        self._invited_ms: dict[AccountId, int] = {}  # who was invited when, since we run
        self._reminders = Reminders()
        self._joining = Reminders()  # of ours, to ask who has cloned whether they have joined
        self._untold = Untold()
        self._early = EarlyNews()
        self._without_drt: set[DeviceId] = set()
        self._guests = Guests()
        self._swarm: dict[int, DeviceId] = {}  # channels of the DRT
        self._swarm_of: dict[DeviceId, int] = {}
        self._on_clone: Callable[[CloneFailedError | None, float], list[Effect]] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it is there: begun, opened or cloned."""
        return self.view is not None

    @property
    def is_fetching(self) -> bool:
        """Whether something is on its way that the history does not reach yet."""
        return self._fetcher.is_busy

    # --- Beginning and commands ---------------------------------------------------------------

    def adopt(self, outcome: Outcome, now: float) -> list[Effect]:
        """Start with a conversation that a job has begun or opened."""
        self.conversation = outcome.conversation
        return [ConversationReady(self.id), *self._changed(outcome, now)]

    def clone(
        self,
        sources: Iterable[DeviceId],
        ended: Callable[[CloneFailedError | None, float], list[Effect]],
        now: float,
    ) -> list[Effect]:
        """Fetch the whole from one of *sources*, and join; *ended* hears how it went."""
        self._on_clone = ended
        effects = self.offered_by(sources, now)
        return effects if self._fetcher.is_busy else self.fetches_ended("nobody is online", now)

    def offered_by(self, devices: Iterable[DeviceId], now: float) -> list[Effect]:
        """Clone from these, should the others not give it."""
        effects: list[Effect] = []
        for device in devices:
            effects += self._fetcher.add(device, None, now)
        return effects

    def run(
        self,
        command: Callable[[Conversation], list[Event]],
        done: Callable[[tuple[Event, ...], float], list[Effect]],
        failed: Callable[[Exception, float], list[Effect]],
    ) -> list[Effect]:
        """Change the conversation in its thread; *done* hears the events of the command."""
        conversation = self.conversation
        assert conversation is not None, "only conversations that are ready take commands"

        def job() -> Outcome:
            events = command(conversation)
            return Outcome(tuple(events), View.of(conversation, self.view))

        def then(result: object, now: float) -> list[Effect]:
            assert isinstance(result, Outcome)
            return [*self._changed(result, now), *done(result.events, now)]

        return [self._context.work(self.id, job, then, failed)]

    # --- News ---------------------------------------------------------------------------------

    def role(self, account: AccountId) -> Role | None:
        """Return what an account is here."""
        return None if self.view is None else self.view.members.get(account)

    def invited_ms(self, account: AccountId) -> int:
        """Return the time of an invitation: the same for each copy of it, another for a new one."""
        begun = 0 if self.view is None else self.view.wall_begun * 1_000
        return self._invited_ms.get(account, begun)

    def may_fetch(self, account: AccountId) -> bool:
        """Whether a device of this account is given the history."""
        if account == self._context.me.account:
            return self.is_ready
        role = self.role(account)
        is_proved = self.view is not None and account not in self.view.unproved
        return is_proved and role is not None and role.may_fetch

    def news(
        self, account: AccountId, device: DeviceId, commit: CommitId | None, now: float
    ) -> list[Effect]:
        """A device says that it has *commit*, or may have something."""
        is_stranger = self.view is not None and not self.may_fetch(account)
        effects: list[Effect] = []
        if commit is not None:
            effects = [] if is_stranger else self._has_come(account, device, commit, now)
            if commit in self._recent:
                return effects
        if is_stranger:
            return self._news_came_early(account, device, now)
        return [*effects, *self._fetcher.add(device, commit, now)]

    def _news_came_early(self, account: AccountId, device: DeviceId, now: float) -> list[Effect]:
        """Somebody who is no member here may be one elsewhere: ask those whom we talk to."""
        effects: list[Effect] = []
        if self._early.add(account, device, now):
            lines = self._context.messenger.devices()
            known = [name for owner, name in lines if self.may_fetch(owner)]
            for name in known[:EXTRA_TOLD]:
                effects += self._fetcher.add(name, None, now)
        return effects

    def device_appeared(self, account: AccountId, device: DeviceId, now: float) -> list[Effect]:
        """A device of a member is online: tell it what it may lack."""
        if self.view is None or not self.may_fetch(account):
            return []
        effects: list[Effect] = []
        if device not in self._without_drt and account != self._context.me.account:
            effects += self._drt(self.drt.appeared(device, now))
        return effects + self._tell(account, device, now, dial=self._is_small())

    def line_opened(
        self, account: AccountId, device: DeviceId, dialect: Dialect, now: float
    ) -> list[Effect]:
        """Notices can be exchanged with a device: compare histories both ways."""
        if self.view is None or not self.may_fetch(account):
            return []
        if self._has.get(device) == self.view.head and dialect is not Dialect.SIP:
            return []
        self._told.pop(device, None)
        effects = self._tell(account, device, now, dial=False)
        return effects + self.news(account, device, None, now)

    # What the fetcher asks and tells.

    def knows(self, commit: CommitId) -> bool:
        """Whether we surely have a commit, or surely do not want it."""
        return commit in self._recent

    def has(self, device: DeviceId, head: CommitId) -> None:
        """Take note of what a device has."""
        self._set_head(device, head)
        self._bound()

    def owner(self, device: DeviceId) -> AccountId | None:
        """Return whose device it is, as far as we know."""
        found = self._owners.get(device)
        if found is None and self.view is not None:
            found = self.view.devices.get(device)
        if found is None:
            announced = self._context.online.items()
            found = next((who for who, devices in announced if device in devices), None)
        return found

    def took(self, outcome: Outcome, device: DeviceId, head: CommitId, now: float) -> list[Effect]:
        """Take what a fetch brought."""
        effects: list[Effect] = []
        if self.conversation is None:
            self.conversation = outcome.conversation
            effects.append(ConversationReady(self.id))
        refused = tuple(event for event in outcome.events if isinstance(event, Refused))
        if refused:
            self.stats.refused += len(refused)
            final = [event.commit for event in refused if event.is_final]
            for commit in final:
                self._remember(commit)  # asking again would bring the same
            if len(final) == len(refused):
                self._remember(head)
            effects.append(MessagesRefused(self.id, device, refused, self.owner(device)))
        effects += self._changed(outcome, now)
        giver = self.owner(device)
        if giver is None or giver == self._context.me.account or self.role(giver) is None:
            return effects
        is_new = any(isinstance(event, Taken) for event in outcome.events)
        if is_new and self._context.messenger.dialect(device) is Dialect.SIP:
            self._untold.gave(giver, device, now)
        return effects + self._context.states.has(self, giver, head, now)

    def fetches_ended(self, reason: str, now: float) -> list[Effect]:
        """Hear that nothing is left to fetch: a clone that brought nothing has failed."""
        ended, self._on_clone = self._on_clone, None
        if ended is None:
            return []
        return ended(None if self.is_ready else CloneFailedError(reason), now)

    # --- Channels -----------------------------------------------------------------------------

    def has_channel(self, channel: int) -> bool:
        """Whether a channel belongs to this conversation."""
        is_guest = channel in self._guests
        return is_guest or channel in self._swarm or channel == self._fetcher.channel

    def serve(self, channel: int, account: AccountId, device: DeviceId) -> list[Effect]:
        """A device opened a channel to fetch from us."""
        conversation = self.conversation
        if conversation is None:
            return [CloseChannel(channel)]
        engine = ServeEngine(self.id, conversation.store, conversation.graph)
        gone = self._guests.admit(channel, Guest(engine, account, device))
        return [CloseChannel(number) for number in gone]

    def neighbour_came(
        self, channel: int, account: AccountId, device: DeviceId, now: float
    ) -> list[Effect]:
        """A device of *account* opened a `swarm://` channel."""
        others = [each for each in self._swarm_of if self._owners.get(each) == account]
        if len(others) >= NEIGHBOURS_PER_ACCOUNT and device not in others:
            return [CloseChannel(channel)]
        self._owners[device] = account
        return self.neighbour(channel, device, now)

    def neighbour(self, channel: int, device: DeviceId, now: float) -> list[Effect]:
        """A `swarm://` channel with a device is open, whoever opened it."""
        old = self._swarm_of.pop(device, None)
        if old is not None:
            del self._swarm[old]
        self._swarm[channel], self._swarm_of[device] = device, channel
        effects: list[Effect] = [CloseChannel(old)] if old is not None else []
        effects += self._drt(self.drt.opened(device, now))
        account = None if self.view is None else self.view.devices.get(device)
        return effects if account is None else effects + self._tell(account, device, now, dial=True)

    def receive(self, channel: int, data: bytes, now: float) -> list[Effect]:
        """Take what came on a channel of ours."""
        if (device := self._swarm.get(channel)) is not None:
            return self._drt(self.drt.receive(device, data, now))
        guest = self._guests.heard(channel)
        if guest is None:
            return self._fetcher.receive(data, now)
        return [
            self._context.work(
                self.id,
                lambda: guest.engine.receive(data, now),
                lambda result, now: self._served(channel, guest, result, now),
                lambda error, now: self._stop_serving(channel),
            )
        ]

    def channel_closed(self, channel: int, now: float) -> list[Effect]:
        """A channel of ours is gone."""
        self._guests.drop(channel)
        device = self._swarm.pop(channel, None)
        if device is not None:
            del self._swarm_of[device]
            return self._drt(self.drt.closed(device, now))
        return self._fetcher.closed(now) if channel == self._fetcher.channel else []

    def close(self) -> list[Effect]:
        """End all channels."""
        channels = [*self._guests.clear(), *self._swarm]
        self._swarm, self._swarm_of = {}, {}
        return [*self._fetcher.stop(), *(CloseChannel(channel) for channel in channels)]

    def next_deadline(self) -> float | None:
        """When a fetch is given up, or the DRT wants time."""
        moments = [
            *(self.drt.next_deadline(), self._fetcher.deadline),
            *(self._reminders.next_deadline(), self._joining.next_deadline()),
            self._untold.next_deadline(),
        ]
        return min((moment for moment in moments if moment is not None), default=None)

    def advance(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects = self._drt(self.drt.advance(now)) + self._fetcher.advance(now)
        for account, device in self._reminders.due(now):
            if not self.may_fetch(account):  # banned since
                self._reminders.forget(device)
            else:
                self._told.pop(device, None)
                is_online = self._context.is_online(account, device)
                effects += self._tell(account, device, now, dial=is_online)
        for account, device in self._untold.due(now):
            if self.may_fetch(account):
                effects += self.news(account, device, None, now)
        for account, device in self._joining.due(now):
            if self.role(account) is Role.INVITED:  # 13.7's news of its join may have got lost
                effects += self.news(account, device, None, now)
        return effects

    # --- Serving ------------------------------------------------------------------------------

    def _served(self, channel: int, guest: Guest, result: object, now: float) -> list[Effect]:
        assert isinstance(result, list)
        effects: list[Effect] = []
        for effect in result:
            if channel in self._guests:
                effects += self._serve_effect(channel, guest, effect, now)
        return effects

    def _serve_effect(
        self, channel: int, guest: Guest, effect: ServeEffect, now: float
    ) -> list[Effect]:
        match effect:
            case Send(data):
                return [WriteChannel(channel, data)]
            case SendPack(pieces):
                return [StreamChannel(channel, self.id, pieces)]
            case Served(head):
                self.stats.served += 1
                if self.role(self._context.me.account) not in (Role.ADMIN, Role.MEMBER):
                    self._context.farewells.heard(self.id, guest.account)
                if self.role(guest.account) is Role.INVITED:
                    self._joining.told(guest.account, guest.device, head, now)
                return self._has_come(guest.account, guest.device, head, now)
            case ServeFailed():
                return self._stop_serving(channel)

    def _stop_serving(self, channel: int) -> list[Effect]:
        return [CloseChannel(channel)] if self._guests.drop(channel) else []

    # --- Who has what -------------------------------------------------------------------------

    def holders(self) -> dict[DeviceId, tuple[AccountId, tuple[CommitId, ...]]]:
        """Return whose each device is, and commits up to which it has all: as heard since start.

        News overtake each other, so the newest of these may be any of them.
        """
        owners = dict(self._owners) if self.view is None else self.view.devices | self._owners
        return {
            device: (owners[device], tuple(heads))
            for device, heads in self._had.items()
            if device in owners
        }

    def _set_head(self, device: DeviceId, commit: CommitId) -> None:
        self._has[device] = commit
        heads = self._had.setdefault(device, {})
        heads.pop(commit, None)
        heads[commit] = None
        if len(heads) > HEADS_MAX:
            del heads[next(iter(heads))]

    def _device_has(self, account: AccountId, device: DeviceId, commit: CommitId) -> list[Effect]:
        if self._has.get(device) == commit and device in self._owners:
            return []
        self._reminders.fetched(device, commit)
        self._set_head(device, commit)
        self._owners[device] = account
        self._bound()
        return [DeviceHas(self.id, account, device, commit)]

    def _bound(self) -> None:
        """Forget what the devices that we heard of first have."""
        while len(self._has) > DEVICES_MAX:
            oldest = next(iter(self._has))
            del self._has[oldest]
            self._had.pop(oldest, None)
        while len(self._owners) > 2 * DEVICES_MAX:
            del self._owners[next(iter(self._owners))]

    def _has_come(
        self, account: AccountId, device: DeviceId, commit: CommitId, now: float
    ) -> list[Effect]:
        """A device has all up to *commit*: so has its account."""
        effects = self._device_has(account, device, commit)
        states = self._context.states
        if account == self._context.me.account:
            return [*effects, *states.given(self.id, device, now)]
        if self.role(account) is None:
            return effects
        return [*effects, *states.has(self, account, commit, now)]

    # --- After a change -----------------------------------------------------------------------

    def _changed(self, outcome: Outcome, now: float) -> list[Effect]:
        """Tell our own side what a job brought, and other devices if there is news for them."""
        before, self.view = self.view, outcome.view
        effects: list[Effect] = []
        messages = [event for event in outcome.events if isinstance(event, Taken)]
        for message in messages:
            self._remember(message.commit.id)
            content = message.content
            if isinstance(content, MemberEvent) and content.action is MemberAction.ADD:
                self._invited_ms[content.account] = self._context.wall_ms(now)
        self._remember(outcome.view.head)
        shown = tuple(each for each in messages if not isinstance(each.content, Merge))
        if shown:
            effects.append(MessagesArrived(self.id, shown))
        if before is None or before.members != outcome.view.members:
            effects.append(MembersChanged(self.id, tuple(outcome.view.members.items())))
            inside = frozenset(filter(self.may_fetch, outcome.view.members))
            for account, device in self._early.take(inside):
                effects += self.news(account, device, None, now)
        effects += self._context.states.taken(self, messages, now)
        effects += self._update_drt(before, now)
        if before is None or before.head != outcome.view.head:
            effects += self.announce(now)
        return effects

    def _remember(self, commit: CommitId) -> None:
        self._recent[CommitId(commit)] = None
        if len(self._recent) > RECENT_MAX:
            del self._recent[next(iter(self._recent))]

    def announce(self, now: float) -> list[Effect]:
        """Tell those who should hear of our head, unless they have it."""
        effects: list[Effect] = []
        strangers: list[tuple[AccountId, DeviceId]] = []
        is_small = self._is_small()
        for account, device in self.audience():
            is_close = device in self._swarm_of or account == self._context.me.account
            speaks = self._context.messenger.dialect(device)
            if is_close or speaks is Dialect.SIP or (is_small and speaks is not None):
                effects += self._tell(account, device, now, dial=True)
            elif self._context.is_online(account, device):
                strangers.append((account, device))
        if strangers and not is_small:
            chosen = {self._context.entropy.below(len(strangers)) for _ in range(EXTRA_TOLD)}
            strangers = [strangers[number] for number in sorted(chosen)]
        for account, device in strangers:
            effects += self._tell(account, device, now, dial=True)
        return effects

    def audience(self) -> list[tuple[AccountId, DeviceId]]:
        """Everybody's devices that we know of, ours included, this one not."""
        if self.view is None:
            return []
        found = dict(self.view.devices)
        for account in (self._context.me.account, *self.view.members):
            for device in sorted(self._context.online.get(account, ())):
                found[device] = account
        found.pop(self._context.me.device_id, None)
        return [(account, device) for device, account in found.items() if self.may_fetch(account)]

    def _is_small(self) -> bool:
        return len(self.audience()) <= SMALL_GROUP

    def _tell(
        self, account: AccountId, device: DeviceId, now: float, *, dial: bool
    ) -> list[Effect]:
        """Tell a device about our head; one whose account is invited, that it is."""
        view, context = self.view, self._context
        if view is None or (not dial and context.messenger.dialect(device) is None):
            return []
        wall_now = context.wall_now(now)
        notice: Notice
        if self.role(account) is Role.INVITED and view.mode is not Mode.ONE_TO_ONE:
            made_ms = self.invited_ms(account)
            if self._invited.get(device) == made_ms:
                return []
            self._invited[device] = made_ms
            notice = Invitation(self.id, view.metadata, made_ms)
        elif view.head in (self._told.get(device), self._has.get(device)):
            return []
        else:
            self._told[device] = view.head
            if context.messenger.dialect(device) is not Dialect.MSG:
                self._reminders.told(account, device, view.head, now)
            elif self._is_small():
                self._reminders.told(account, device, view.head, now, wait=CHANNEL_WAIT)
            notice = CommitNotice(self.id, view.head, context.me.device_id)
        sent = context.messenger.send(account, device, notice, wall_now, dial=dial)
        return context.own_effects(sent)

    # --- The DRT ------------------------------------------------------------------------------

    def _update_drt(self, before: View | None, now: float) -> list[Effect]:
        gone = self._guests.expel(self.may_fetch)  # who was banned reads on no open channel
        effects: list[Effect] = [CloseChannel(channel) for channel in gone]
        devices = {} if before is None else before.devices
        owners = self._owners | devices
        out = {device for device, account in owners.items() if not self.may_fetch(account)}
        effects += self._fetcher.forget(out, now)
        for device in sorted(out):
            effects += self._drt(self.drt.forget(device, now))
        known = [
            device
            for account, device in self.audience()
            if device not in self._without_drt and account != self._context.me.account
        ]
        return effects + self._drt(self.drt.know(known, now))

    def _drt(self, effects: list[DrtEffect]) -> list[Effect]:
        """Carry out what the DRT wants."""
        found: list[Effect] = []
        for effect in effects:
            match effect:
                case Dial(device):
                    found.append(self._dial(device))
                case Tell(device, data):
                    if (channel := self._swarm_of.get(device)) is not None:
                        found.append(WriteChannel(channel, data))
                case Drop(device):
                    if (channel := self._swarm_of.pop(device, None)) is not None:
                        del self._swarm[channel]
                        found.append(CloseChannel(channel))
        return found

    def _dial(self, device: DeviceId) -> Effect:
        def refused(was_declined: bool, now: float) -> list[Effect]:
            if was_declined:  # Debian's Jami has no DRT
                self._without_drt.add(device)
                return self._drt(self.drt.forget(device, now))
            return self._drt(self.drt.dial_failed(device, now))

        return self._context.open(
            device,
            f"swarm://{self.id}",
            lambda channel, now: self.neighbour(channel, device, now),
            refused,
        )
