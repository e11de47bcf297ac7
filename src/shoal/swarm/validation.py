"""Which commits to take.

Commits are judged one by one, parents first. A commit is *verified* when all rules hold and its
signature is its author's. One whose signature is missing or wrong, in other respects in order, is
*unverified*: Debian's Jami of 2023 takes such commits, so they are in old histories, where we keep
them, marked, and without rights. Files that an unverified commit changed are *tainted* until a
verified one changes them: nobody is a member, and nothing is signed, by a tainted certificate.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, CommitId, DecodeError
from shoal.core.records import dataclass
from shoal.swarm import roles
from shoal.swarm.certificates import CertificateReader
from shoal.swarm.commits import Commit
from shoal.swarm.contents import Content, Initial, MemberAction, MemberEvent, Mode, read_content
from shoal.swarm.errors import InvalidCommitError, ObjectMissingError
from shoal.swarm.rules import (
    Broken,
    Case,
    check,
    check_initial,
    check_merge,
    check_taken_back,
    require_votes,
)
from shoal.swarm.store import ObjectKind
from shoal.swarm.trees import EMPTY, TreeReader, changes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.swarm.certificates import Author
    from shoal.swarm.history import Graph
    from shoal.swarm.store import GitStore
    from shoal.swarm.trees import FlatTree

_NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Standing:
    """What was found about a commit that is taken."""

    account: AccountId  # of the author
    problem: str = ""  # why it is unverified; empty if it is verified
    tainted: frozenset[str] = _NOTHING  # files that unverified commits changed

    @property
    def is_verified(self) -> bool:
        """Whether its author is proved."""
        return not self.problem


class Validator:
    """Judges the commits of one conversation."""

    def __init__(
        self,
        store: GitStore,
        trees: TreeReader,
        standing_of: Callable[[CommitId], Standing | None],
        tree_of: Callable[[CommitId], bytes],
        graph: Graph,
    ) -> None:
        self.certificates = CertificateReader(store)
        self._store = store
        self._trees = trees
        self._standing_of = standing_of
        self._tree_of = tree_of
        self._graph = graph
        self._standings: dict[Standing, Standing] = {}  # most are equal: each is kept once
        self._mode = Mode.ONE_TO_ONE
        self._pair: frozenset[AccountId] = frozenset()

    def begin(self, initial: Commit) -> tuple[Content, Standing]:
        """Judge the first commit, which says what kind of conversation it is.

        Raises:
            InvalidCommitError: it does not begin a conversation.
        """
        content, standing = self.judge(initial)
        assert isinstance(content, Initial), "the rules of first commits say so"
        self._mode = content.mode
        if content.invited is not None:
            self._pair = frozenset((standing.account, content.invited))
        return content, standing

    @property
    def mode(self) -> Mode:
        """What kind of conversation it is."""
        return self._mode

    def judge(self, commit: Commit) -> tuple[Content, Standing]:
        """Judge a commit whose parents have been taken.

        Raises:
            InvalidCommitError: it breaks a rule.
        """
        try:
            return self._judge(commit)
        except (Broken, DecodeError, ObjectMissingError) as error:
            raise InvalidCommitError(commit.id, str(error)) from error

    def _judge(self, commit: Commit) -> tuple[Content, Standing]:
        content = read_content(commit)
        new = self._trees.read(commit.tree)
        parents = [self._parent(parent) for parent in commit.parents]
        old = self._trees.read(self._tree_of(commit.parents[0])) if parents else EMPTY
        changed = changes(old, new)
        tainted: frozenset[str] = frozenset().union(*(parent.tainted for parent in parents))
        proof = old if _is_leaving(content) else new
        author = self.certificates.author(proof, commit.device)
        _check_dates(commit, author)
        if parents and roles.is_device_banned(old, commit.device):
            raise Broken("its device is banned")
        if len(parents) > 1:
            second = self._trees.read(self._tree_of(commit.parents[1]))
            check_merge(commit, old, second, new)
            check_taken_back(old, second, new, partial(self._bases, commit))
        else:
            self._check_blobs(new, changed)
            case = Case(
                commit,
                content,
                author.account,
                old,
                new,
                changed,
                self._mode,
                self._pair,
                self.certificates,
                partial(self._find, commit.parents),
            )
            (check if parents else check_initial)(case)
        problem = self._problem(commit, author, proof, tainted)
        if not problem and tainted:
            problem = _hollow(content, author, old, changed, tainted)
        if problem:
            tainted |= changed
        elif len(parents) == 1:
            tainted -= changed
        standing = Standing(author.account, problem, tainted)
        return content, self._standings.setdefault(standing, standing)

    def _problem(
        self, commit: Commit, author: Author, proof: FlatTree, tainted: frozenset[str]
    ) -> str:
        """Return why the author is not proved, or nothing."""
        if commit.signature is None:
            return "it is not signed"
        if not commit.is_signed_by(author.certificate.public_key):
            return "its signature is not by its author"
        if tainted:
            for path in (roles.admin_path(author.account), roles.member_path(author.account)):
                if path in proof and path in tainted:
                    return "its author became a member by an unverified commit"
        return ""

    def _check_blobs(self, new: FlatTree, changed: frozenset[str]) -> None:
        for path in changed:
            blob = new.get(path)
            if blob is not None and self._store.read(blob)[0] is not ObjectKind.BLOB:
                raise Broken(f"{path} is no file")

    def _parent(self, commit: CommitId) -> Standing:
        standing = self._standing_of(commit)
        if standing is None:
            raise Broken(f"its parent {commit} was not taken")
        return standing

    def _bases(self, merge: Commit) -> list[FlatTree]:
        """Return the trees of the best common ancestors of the two sides."""
        found = self._graph.merge_bases(*merge.parents)
        return [self._trees.read(self._tree_of(commit)) for commit in found]

    def _find(
        self, parents: Sequence[CommitId], commit: CommitId
    ) -> tuple[Content, AccountId] | None:
        """Return a commit that came before: not one that only some of us have."""
        standing = self._standing_of(commit)
        if standing is None or not any(self._graph.is_ancestor(commit, each) for each in parents):
            return None
        return read_content(Commit.parse(self._store.read(commit)[1])), standing.account


def _hollow(
    content: Content,
    author: Author,
    old: FlatTree,
    changed: frozenset[str],
    tainted: frozenset[str],
) -> str:
    """Return why what is signed stands on what is not, or nothing."""
    if not isinstance(content, MemberEvent):
        return ""
    match content.action:
        case MemberAction.JOIN if roles.invited_path(author.account) in tainted:
            return "its author was invited by an unverified commit"
        case MemberAction.BAN | MemberAction.UNBAN:
            try:
                require_votes(old, changed - tainted)
            except Broken as error:
                return f"without votes by unverified commits {error}"
        case _:
            pass
    return ""


def _is_leaving(content: Content) -> bool:
    """Say whether the author is to be found in the tree before."""
    return isinstance(content, MemberEvent) and content.action is MemberAction.REMOVE


def _check_dates(commit: Commit, author: Author) -> None:
    if author.certificate.wall_not_after < commit.wall_time:
        raise Broken("its device's certificate had expired")
