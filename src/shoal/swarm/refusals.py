"""What was refused: remembered, so that a bad commit is judged once however often it is offered.

Only what is wrong with a commit itself is final. One that lacks an object may be whole when another
device gives it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.swarm.errors import InvalidCommitError, ObjectMissingError

if TYPE_CHECKING:
    from shoal.core import CommitId

REFUSED_MAX: Final = 65_536  # ours: commits that we remember; the oldest are judged again
REFUSED_BEFORE: Final = "it was refused before"  # the rule that was told first
TOLD_MAX: Final = 256  # ours: of one fetch; who floods us is not to fill the log


@dataclass(frozen=True, slots=True)
class Refused:
    """Event: a commit, and what stands on it, was not taken; *rule* says why.

    It is *final* unless something was missing that another device may have.
    """

    commit: CommitId
    rule: str
    is_final: bool = True


class Refusals:
    """The commits of one conversation that are not taken, whoever offers them."""

    def __init__(self) -> None:
        self._known: dict[CommitId, None] = {}

    def __contains__(self, commit: object) -> bool:
        return commit in self._known

    def __len__(self) -> int:
        return len(self._known)

    def add(self, commit: CommitId) -> None:
        """Remember one, also one that only stands on another."""
        self._known[commit] = None
        if len(self._known) > REFUSED_MAX:
            del self._known[next(iter(self._known))]


def refused(
    commit: CommitId, error: InvalidCommitError | DecodeError | ObjectMissingError
) -> Refused:
    """Return what is told of a commit that *error* was found about."""
    if isinstance(error, InvalidCommitError):
        is_final = not isinstance(error.__cause__, ObjectMissingError)
        return Refused(commit, error.rule, is_final)
    return Refused(commit, str(error), isinstance(error, DecodeError))
