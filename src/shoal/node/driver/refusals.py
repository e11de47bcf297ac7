"""What members offer that is not taken, in the log: once, with who, what and why.

What a peer chose the words of is shown so that it stays one line.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from shoal.swarm.effects import ALL_REFUSED, REFUSED_BEFORE, FetchEnded, MessagesRefused

if TYPE_CHECKING:
    from collections.abc import Hashable

_log = logging.getLogger(__name__)

LOGGED_MAX: Final = 8  # ours: lines for one fetch; all are counted
KNOWN_MAX: Final = 4_096  # ours: reasons that are not told again
REASON_MAX: Final = 300  # characters, ours


class RefusalLog:
    """Tells of each refusal once."""

    def __init__(self) -> None:
        self._known: dict[Hashable, str] = {}

    def tell(self, event: MessagesRefused | FetchEnded) -> None:
        """Say what was not taken, and why, unless that was said before."""
        who = f"{event.member or 'nobody known'}, device {event.device}"
        match event:
            case MessagesRefused(conversation, _, refused):
                fresh = [
                    each for each in refused if self._is_new((conversation, each.commit), each.rule)
                ]
                for each in fresh[:LOGGED_MAX]:
                    _log.warning(
                        "! %s: commit %s by %s is refused: %s",
                        *(conversation, each.commit, who, _shown(each.rule)),
                    )
                if len(fresh) > LOGGED_MAX:
                    more = len(fresh) - LOGGED_MAX
                    _log.warning("! %s: %d more by %s", conversation, more, who)
            case FetchEnded(conversation, device, reason, _, is_peers_fault):
                is_untold = is_peers_fault and reason != ALL_REFUSED
                is_new = is_untold and self._is_new((conversation, device), reason)
                level = logging.WARNING if is_new else logging.INFO
                mark = "!" if is_new else "x"
                _log.log(level, "%s %s: fetch from %s: %s", mark, conversation, who, _shown(reason))

    def _is_new(self, what: Hashable, reason: str) -> bool:
        """Take note of a reason; say whether it was not told yet."""
        before = self._known.pop(what, None)
        if before is not None and reason == REFUSED_BEFORE:
            reason = before
        self._known[what] = reason
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        return reason != before


def _shown(reason: str) -> str:
    return (reason if reason.isprintable() else ascii(reason))[:REASON_MAX]
