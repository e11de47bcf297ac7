"""What was found, and how it is told: to people, to scripts, to those who are asked for help."""

from __future__ import annotations

import enum
import ipaddress
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Verdict(enum.Enum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"  # it works, but not as well as it could
    FAILED = "failed"
    SKIPPED = "skipped"  # it is not used here


MARKS: Final = {
    Verdict.OK: "✓",
    Verdict.WARNING: "!",
    Verdict.FAILED: "✗",
    Verdict.SKIPPED: "-",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one thing.

    Attributes:
        name: what was looked at.
        verdict: how it is.
        text: what was seen.
        fix: what to do about it, or "".
    """

    name: str
    verdict: Verdict
    text: str
    fix: str = ""

    @property
    def line(self) -> str:
        """All of it on one line."""
        advice = f" → {self.fix}" if self.fix else ""
        return f"{MARKS[self.verdict]} {self.name:<12} {self.text}{advice}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "verdict": self.verdict.value}


_ADDRESS: Final = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+)")
_ID: Final = re.compile(r"(?<![0-9a-fA-F])(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{40})(?![0-9a-fA-F])")


class Redactor:
    """Replaces what tells who and where somebody is; the same by the same, so that one can compare.

    Addresses of this machine's own loopback stay: they are everybody's.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """Replace each of *secrets*, such as the home's path, by the word it leads to."""
        self._secrets = sorted(secrets.items(), key=lambda each: -len(each[0]))
        self._numbers: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """Return *text* without what is nobody's business."""
        for secret, word in self._secrets:
            if secret:
                text = text.replace(secret, word)
        text = _ID.sub(lambda found: self._number("id", found[0]), text)
        return _ADDRESS.sub(self._address, text)

    def _address(self, found: re.Match[str]) -> str:
        try:
            address = ipaddress.ip_address(found[0])
        except ValueError:
            return found[0]
        if address.is_loopback or address.is_unspecified:
            return found[0]
        kind = "address" if address.is_global else "private address"
        return self._number(kind, found[0])

    def _number(self, kind: str, text: str) -> str:
        return self._numbers.setdefault(text, f"[{kind} {len(self._numbers) + 1}]")


def report(findings: Iterable[Finding], facts: Mapping[str, str], redact: Redactor) -> str:
    """Return a report that may be shown to anybody."""
    lines = ["shoal doctor", "", *(f"{name}: {value}" for name, value in facts.items()), ""]
    lines += [each.line for each in findings]
    return "\n".join(redact(line) for line in lines) + "\n"
