"""A conversation: what we say in it, and what we take from others.

Theory of operation. The repository's head is the tip of what was taken. Saying something adds a
commit on top of it. A fetch brings a peer's head and the objects that it reaches: each new commit
is judged, parents first; a bad one is refused together with all that stands on it, and the rest is
taken. What then has two tips is merged. Two devices that merge at the same time get two merges
with the same messages below them; instead of merging those again, and for ever, every device keeps
the greater of two heads that hold the same messages and the same files.

What was judged is kept in the store's ledger, where it has one, and need not be judged again.

All methods run in one thread per conversation, and return events in the order of history.
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import AccountId, CommitId, ConversationId, DecodeError, DeviceId
from shoal.core.records import dataclass
from shoal.swarm import roles
from shoal.swarm.commits import Commit, merge_message
from shoal.swarm.contents import Edit, Initial, Mode, Text, read_content, write_content
from shoal.swarm.errors import (
    ConversationEndedError,
    HistoryTooLargeError,
    InvalidCommitError,
    ObjectMissingError,
    RepositoryError,
)
from shoal.swarm.history import Graph, collect, parents_first
from shoal.swarm.ledger import Fresh
from shoal.swarm.merging import merge_heads
from shoal.swarm.refusals import REFUSED_BEFORE, TOLD_MAX, Refusals, Refused, refused
from shoal.swarm.store import ObjectKind
from shoal.swarm.trees import TreeReader, write_tree
from shoal.swarm.validation import Validator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from shoal.crypto import Certificate, Identity
    from shoal.swarm.contents import Content
    from shoal.swarm.history import Node
    from shoal.swarm.roles import Role
    from shoal.swarm.store import GitStore
    from shoal.swarm.trees import FlatTree
    from shoal.swarm.validation import Standing

COMMITS_MAX: Final = 1_000_000  # ours: in one fetch; a clone brings all
JOINS_MAX: Final = 32  # ours: tips that one fetch may make us merge; the others' turn is the next
AHEAD_MAX: Final = 86_400.0  # seconds, ours: how far ahead of ours another clock is believed


@dataclass(frozen=True, slots=True)
class Taken:
    """Event: a commit became part of the history.

    Attributes:
        reaction: of an edit, the reaction that it changes, if it is one.
    """

    commit: Commit
    content: Content
    standing: Standing
    reaction: Text | None = None


@dataclass(frozen=True, slots=True)
class HeadMoved:
    """Event: the history has a new tip; tell the other members."""

    head: CommitId


Event: TypeAlias = Taken | Refused | HeadMoved


@dataclass(frozen=True, slots=True)
class Self:
    """Who we are in a conversation."""

    device: Identity  # its certificate has the account's as its issuer
    name: str = ""

    @property
    def account(self) -> AccountId:
        """Our account."""
        return AccountId(_issuer(self.device).id)

    @property
    def device_id(self) -> DeviceId:
        """Our device."""
        return DeviceId(self.device.long_id)

    @property
    def account_file(self) -> bytes:
        """What goes into members/ or admins/: the account's certificate and its CA's."""
        return _issuer(self.device).to_pem().encode()

    @property
    def device_file(self) -> bytes:
        """What goes into devices/."""
        return self.device.certificate.to_pem(with_issuers=False).encode()


def _issuer(device: Identity) -> Certificate:
    issuer = device.certificate.issuer
    assert issuer is not None, "a device's certificate comes with its account's"
    return issuer


class Conversation:
    """One conversation as one of its devices has it."""

    def __init__(self, store: GitStore, me: Self) -> None:
        self.store = store
        self.me = me
        self.graph = Graph(self._find_node)
        self.standings: dict[CommitId, Standing] = {}  # of what the ledger does not have
        self._fresh: list[Fresh] = []
        self._initial: CommitId | None = None
        self._tips: set[CommitId] = set()
        self._refusals = Refusals()
        self._trees = TreeReader(store)
        self._validator = Validator(
            store,
            self._trees,
            self._find_standing,
            lambda commit: self.graph[commit].tree,
            self.graph,
        )

    # --- Beginning ----------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        store: GitStore,
        me: Self,
        *,
        wall_now: float,
        mode: Mode = Mode.INVITES_ONLY,
        invited: AccountId | None = None,
    ) -> Conversation:
        """Begin a conversation in an empty *store*; one of two names whom it is with."""
        assert store.head is None, "a conversation begins in an empty repository"
        conversation = cls(store, me)
        files = {
            roles.admin_path(me.account): store.add(ObjectKind.BLOB, me.account_file),
            roles.device_path(me.device_id): store.add(ObjectKind.BLOB, me.device_file),
        }
        if invited is not None:
            files[roles.invited_path(invited)] = store.add(ObjectKind.BLOB, b"")
        conversation.commit(Initial(mode, invited), files, wall_now)
        return conversation

    @classmethod
    def load(cls, store: GitStore, me: Self) -> Conversation:
        """Open what is in *store*.

        Raises:
            DecodeError: it is no conversation.
            ObjectMissingError: a part of the history is missing.
        """
        conversation = cls(store, me)
        if store.head is not None:
            conversation._open(store.head)
        return conversation

    @classmethod
    def clone(
        cls, store: GitStore, me: Self, expected: ConversationId, head: CommitId
    ) -> tuple[Conversation, list[Event]]:
        """Take a whole history whose objects are in *store*; `recover` adds what was there before.

        Raises:
            InvalidCommitError: not even its beginning is in order, or it is another conversation.
            DecodeError: a commit cannot be read.
            HistoryTooLargeError: it is too long.
            ObjectMissingError: a part of it is missing.
        """
        if store.ledger is not None and store.ledger.head is not None:
            store.ledger.forget()  # of what was here and could not be opened: nothing is believed
        conversation = cls(store, me)
        events = conversation._take(head, is_first=True, expected=expected)
        conversation._settle()
        return conversation, events

    # --- What it is ---------------------------------------------------------------------------

    @property
    def id(self) -> ConversationId:
        """The id: that of the first commit."""
        assert self._initial is not None, "nothing was taken yet"
        return ConversationId(self._initial)

    @property
    def head(self) -> CommitId:
        """The tip of the history."""
        head = self.store.head
        assert head is not None, "nothing was taken yet"
        return head

    @property
    def tips(self) -> tuple[CommitId, ...]:
        """The tip of the history, and those that could not be merged yet."""
        return tuple(sorted({self.head, *self._tips}))

    @property
    def mode(self) -> Mode:
        """What kind of conversation it is."""
        return self._validator.mode

    @property
    def files(self) -> FlatTree:
        """The files at the head."""
        return self._trees.read(self.graph[self.head].tree)

    @property
    def members(self) -> dict[AccountId, Role]:
        """Everybody and their roles."""
        return roles.with_left(roles.members(self.files), self.content_of(self.id))

    @property
    def unproved(self) -> frozenset[AccountId]:
        """Those of the members who are it by an unverified commit only: they have no rights."""
        standing = self._find_standing(self.head)
        if standing is None or not standing.tainted:
            return frozenset()
        people = roles.members(self.files).items()
        return frozenset(who for who, role in people if role.path(who) in standing.tainted)

    def devices(self) -> dict[DeviceId, AccountId]:
        """Return the devices that have committed, and the accounts that they name."""
        found: dict[DeviceId, AccountId] = {}
        for device in roles.devices(self.files):
            with suppress(DecodeError, ObjectMissingError):
                certificate = self._validator.certificates.read(
                    self.files, roles.device_path(device)
                )
                found[device] = self._validator.certificates.owner(certificate)
        return found

    def read_file(self, path: str) -> bytes | None:
        """Return the content of a file at the head; None if it is not there."""
        blob = self.files.get(path)
        return None if blob is None else self.store.read(blob)[1]

    def messages(self, start: CommitId | None = None) -> Iterator[Taken]:
        """Yield the history, newest first, from *start* or the head; merges are left out.

        Raises:
            ObjectMissingError: *start* is not in it.
        """
        for commit_id in self.line(start):
            if len(self.graph[commit_id].parents) <= 1:
                yield self.taken(commit_id)

    def line(self, start: CommitId | None = None) -> Iterator[CommitId]:
        """Return all commits in their one order, newest first, from *start* or the head on.

        Raises:
            ObjectMissingError: *start* is not in it.
        """
        ledger = self.store.ledger
        if ledger is not None and ledger.head == self.head:
            found = ledger.line(start)
            if found is None:
                raise ObjectMissingError(start or self.head)
            return found
        if start is not None and start not in self.graph:
            raise ObjectMissingError(start)
        whole = self.graph.linear(self.head)
        return whole if start is None else itertools.dropwhile(lambda each: each != start, whole)

    def taken(self, commit_id: CommitId) -> Taken:
        """Return a message of the history.

        Raises:
            ObjectMissingError: it is not there.
        """
        standing = self._find_standing(commit_id)
        if standing is None:
            raise ObjectMissingError(commit_id)
        commit = self.commit_of(commit_id)
        return self._taken(commit, read_content(commit), standing)

    def since(self, known: Iterable[CommitId]) -> Iterator[Taken]:
        """Yield what came since *known*, oldest first; what we do not have of them says nothing."""
        there = [commit for commit in known if commit in self.graph]
        fresh = {each: self.commit_of(each) for each in self.graph.since(self.head, there)}
        for commit in parents_first(fresh):
            if not commit.is_merge:
                yield self.taken(commit.id)

    def commit_of(self, commit: CommitId) -> Commit:
        """Return a commit of the history.

        Raises:
            ObjectMissingError: it is not there.
        """
        return Commit.parse(self.store.read(commit)[1])

    # --- Saying -------------------------------------------------------------------------------

    def say(self, content: Content, wall_now: float) -> list[Event]:
        """Add what changes no files: a text, an edit, a file offer, ….

        Raises:
            ConversationEndedError: we are not in it any more.
            InvalidCommitError: it breaks a rule, as an edit of somebody else's message does.
            InvalidMessageError: it cannot be said so that all peers understand.
        """
        return self.commit(content, dict(self.files), wall_now)

    def commit(self, content: Content, files: dict[str, bytes], wall_now: float) -> list[Event]:
        """Add a commit that says *content* and leaves *files*; our device's file is added.

        Raises:
            ConversationEndedError: we are not in it any more.
            InvalidCommitError: it breaks a rule.
            InvalidMessageError: it cannot be said so that all peers understand.
        """
        message = write_content(content)
        parents: tuple[CommitId, ...] = ()
        if self.store.head is not None:
            role = roles.role_of(self.files, self.me.account)
            if role is None or not role.may_fetch:
                raise ConversationEndedError
            parents = (self.store.head,)
        events = self._add(message, parents, files, wall_now)
        self._settle()
        return events

    def _add(
        self,
        message: bytes,
        parents: Sequence[CommitId],
        files: dict[str, bytes],
        wall_now: float,
    ) -> list[Event]:
        own_device = roles.device_path(self.me.device_id)
        if own_device not in files:
            files[own_device] = self.store.add(ObjectKind.BLOB, self.me.device_file)
        newest = max((self.graph[parent].wall_time for parent in parents), default=0)
        commit = Commit.build(
            tree=write_tree(self.store, files),
            parents=parents,
            name=self.me.name,
            device=self.me.device_id,
            # Children are never older, so that the line stays one; a clock that is far ahead, or a
            # liar's, is not followed: nobody's certificate would last that long.
            wall_time=max(int(wall_now), newest if newest < wall_now + AHEAD_MAX else 0),
            message=message,
            key=self.me.device.private_key,
        )
        content, standing = self._judge(commit)
        self.store.add(ObjectKind.COMMIT, commit.raw)
        self._accept(commit, content, standing)
        self._move_head(commit.id)
        return [self._taken(commit, content, standing), HeadMoved(commit.id)]

    # --- Taking -------------------------------------------------------------------------------

    def take(self, head: CommitId, wall_now: float) -> list[Event]:
        """Take what a peer's *head* brings; its objects are in the store.

        Raises:
            HistoryTooLargeError: it brings too much: nothing was taken.
        """
        if head in self._refusals:
            return [Refused(head, REFUSED_BEFORE)]
        return self._bring(head, wall_now)

    def recover(self, wall_now: float) -> list[Event]:
        """Take what was here before a clone, and is not below the tip yet.

        What cannot be judged, as long as a part of it is missing, stays kept beside the history.
        """
        events: list[Event] = []
        for before in self.store.kept:
            with suppress(HistoryTooLargeError, RepositoryError):  # the next start tries again
                events += self._bring(before, wall_now, is_own=True)
                if before in self.graph and not self._says_something(
                    self.graph.since(before, (self.head,))
                ):
                    self.store.release(before)
        return events

    def _bring(self, head: CommitId, wall_now: float, *, is_own: bool = False) -> list[Event]:
        """Judge what *head* brings, and merge it. What was *our own* may be unverified."""
        before, waited = self.head, set(self._tips)
        events = self._take(head, keeps_unverified=is_own)
        # New ones first: what could not be merged before must not keep others from it.
        tips = [*sorted(self._tips - waited), *sorted(self._tips & waited - {before})]
        for other in tips[:JOINS_MAX]:
            events += self._join(other, wall_now)
        self._settle()
        events = [event for event in events if not isinstance(event, HeadMoved)]
        return events if self.head == before else [*events, HeadMoved(self.head)]

    def _take(
        self,
        head: CommitId,
        *,
        is_first: bool = False,
        is_own: bool = False,
        keeps_unverified: bool = False,
        expected: ConversationId | None = None,
    ) -> list[Event]:
        """Judge what *head* brings. The first time, what is unverified is kept, too.

        Whatever is wrong with some, the others are taken. What is our *own* has to be whole. The
        tip stays where it is if that is not the conversation that was *expected*.
        """
        broken: dict[CommitId, DecodeError | ObjectMissingError] = {}
        commits = collect(
            self.store,
            head,
            self.graph,
            COMMITS_MAX,
            broken=None if is_own else broken,
            skip=self._refusals,
        )
        events = self._judge_all(commits, broken, keeps_unverified=is_first or keeps_unverified)
        if is_first and broken and not self._tips:
            raise next(iter(broken.values()))
        if expected is not None and self._initial != expected:
            raise InvalidCommitError(head, f"it is not of conversation {expected}")
        if is_first and head in self.graph:
            self._tips = {head}
            self._move_head(head)
        elif is_first and self._tips:
            self._move_head(max(self._tips, key=self._welcome))
        return events

    def _judge_all(
        self,
        commits: Iterable[Commit],
        broken: Mapping[CommitId, DecodeError | ObjectMissingError],
        *,
        keeps_unverified: bool,
    ) -> list[Event]:
        """Judge commits, parents first, and accept those that are in order."""
        events: list[Event] = []
        said = [refused(commit, error) for commit, error in broken.items()]
        is_final: dict[CommitId, bool] = {each.commit: each.is_final for each in said}
        for commit in commits:
            bad = [each for each in commit.parents if each in is_final or each in self._refusals]
            if bad:
                is_final[commit.id] = any(is_final.get(each, True) for each in bad)
                if bad[0] not in is_final:  # it was refused in another fetch
                    said.append(Refused(commit.id, f"it stands on {bad[0]}, which was refused"))
                continue
            try:
                content, standing = self._judge(commit)
                if not (keeps_unverified or standing.is_verified):
                    raise InvalidCommitError(commit.id, standing.problem)  # noqa: TRY301
            except InvalidCommitError as error:
                said.append(refused(commit.id, error))
                is_final[commit.id] = said[-1].is_final
            else:
                self._accept(commit, content, standing)
                events.append(self._taken(commit, content, standing))
        for commit_id, is_known in is_final.items():
            if is_known:
                self._refusals.add(commit_id)
        return [*events, *said[:TOLD_MAX]]

    def _welcome(self, tip: CommitId) -> tuple[bool, int, CommitId]:
        """Say how much a tip is worth beginning with: one that knows us, then the newest."""
        node = self.graph[tip]
        role = roles.role_of(self._trees.read(node.tree), self.me.account)
        return role is not None and role.may_fetch, node.wall_time, tip

    def _judge(self, commit: Commit) -> tuple[Content, Standing]:
        if commit.parents:
            return self._validator.judge(commit)
        if self._initial is not None:
            raise InvalidCommitError(commit.id, "a second beginning")
        return self._validator.begin(commit)

    def _accept(self, commit: Commit, content: Content, standing: Standing) -> None:
        self.graph.add(commit)
        self.standings[commit.id] = standing
        self._fresh.append(Fresh(commit, content, standing))
        self._tips.difference_update(commit.parents)
        self._tips.add(commit.id)
        if self._initial is None:
            self._initial = commit.id

    def _taken(self, commit: Commit, content: Content, standing: Standing) -> Taken:
        match self.content_of(content.edited) if isinstance(content, Edit) else None:
            case Text(react_to=CommitId()) as reaction:
                return Taken(commit, content, standing, reaction)
            case _:
                return Taken(commit, content, standing)

    def _move_head(self, commit: CommitId) -> None:
        if self.store.head != commit:
            self.store.set_head(commit)

    # --- The ledger ---------------------------------------------------------------------------

    def _open(self, head: CommitId) -> None:
        """Judge what the ledger does not have."""
        ledger = self.store.ledger
        known = None if ledger is None else ledger.head
        if ledger is not None and known is not None:
            self._initial = initial = ledger.first
            self._validator.begin(self.commit_of(initial))
            self._tips = {known}
        self._take(head, is_first=True, is_own=True)
        self._settle()

    def _settle(self) -> None:
        """Hand over to the ledger what it does not have."""
        ledger = self.store.ledger
        if ledger is None:
            self._fresh.clear()
        elif self.store.head is not None and ledger.advance(self.store.head, self._fresh):
            self._fresh.clear()
            self.standings.clear()
            self.graph.forget()

    def _find_node(self, commit: CommitId) -> Node | None:
        found = None if self.store.ledger is None else self.store.ledger.find(commit)
        return None if found is None else found.node

    def _find_standing(self, commit: CommitId) -> Standing | None:
        known = self.standings.get(commit)
        if known is not None or self.store.ledger is None:
            return known
        found = self.store.ledger.find(commit)
        return None if found is None else found.standing

    # --- Merging ------------------------------------------------------------------------------

    def _join(self, other: CommitId, wall_now: float) -> list[Event]:
        """Make one history of ours and the tip *other*, with as few merges as possible."""
        head = self.head
        theirs, ours = self.graph.since(other, (head,)), self.graph.since(head, (other,))
        if not ours:
            return self._follow(other, head)
        if not theirs:
            self._tips.discard(other)
            return []
        has_theirs, has_ours = self._says_something(theirs), self._says_something(ours)
        if not has_theirs and not has_ours:
            if self.graph[head].tree == self.graph[other].tree:
                return self._follow(max(head, other), min(head, other))
        elif not has_theirs:
            self._tips.discard(other)  # their merges hold nothing that we have not
            return []
        elif not has_ours:
            return self._follow(other, head)
        return self._merge(head, other, wall_now)

    def _follow(self, head: CommitId, left: CommitId) -> list[Event]:
        """Make *head* the tip and give up *left*, whose messages it has."""
        self._tips.discard(left)
        self._move_head(head)
        return [HeadMoved(head)]

    def _says_something(self, commits: Iterable[CommitId]) -> bool:
        return any(len(self.graph[commit].parents) <= 1 for commit in commits)

    def _merge(self, head: CommitId, other: CommitId, wall_now: float) -> list[Event]:
        """Merge, where we may; else wait at the tip that tells us more about ourselves."""
        files = merge_heads(self.graph, head, other, self._trees.read)
        if roles.device_path(self.me.device_id) in files:
            try:
                return self._add(merge_message(other), (head, other), files, wall_now)
            except InvalidCommitError:
                pass  # one side has banned us: see below
        others = self._trees.read(self.graph[other].tree)
        if roles.role_of(others, self.me.account) is roles.Role.BANNED:
            self._move_head(other)
            return [HeadMoved(other)]
        return []

    def content_of(self, commit: CommitId) -> Content:
        """Return what a commit of the history says.

        Raises:
            DecodeError: it cannot be read.
            ObjectMissingError: it is not there.
        """
        return read_content(self.commit_of(commit))
