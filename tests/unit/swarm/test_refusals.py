"""What was refused is remembered, within bounds, where it is final."""

from __future__ import annotations

from shoal.core import CommitId, DecodeError
from shoal.swarm.errors import InvalidCommitError, ObjectMissingError
from shoal.swarm.refusals import REFUSED_MAX, Refusals, Refused, refused

ONE = CommitId(b"1" * 20)


def test_only_the_latest_are_remembered() -> None:
    """A flood costs the flooder's own oldest entries."""
    refusals = Refusals()
    for number in range(REFUSED_MAX + 10):
        refusals.add(CommitId(number.to_bytes(20)))

    assert len(refusals) == REFUSED_MAX
    assert CommitId((9).to_bytes(20)) not in refusals
    assert CommitId((10).to_bytes(20)) in refusals


def test_what_is_missing_may_come_from_elsewhere() -> None:
    """A broken rule is broken for ever; a missing object is the giver's fault."""
    missing = InvalidCommitError(ONE, "no git object")
    missing.__cause__ = ObjectMissingError(b"x" * 20)

    assert refused(ONE, InvalidCommitError(ONE, "a rule")) == Refused(ONE, "a rule")
    assert not refused(ONE, missing).is_final
    assert refused(ONE, DecodeError("not a commit")).is_final
    assert not refused(ONE, ObjectMissingError(b"x" * 20)).is_final
