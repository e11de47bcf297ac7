"""Candidates and the text in which Jami exchanges them (reference 5.4).

    <ufrag>
    <pwd>
    <foundation> <component> <UDP|TCP> <priority> <address> <port> typ <type> [tcptype <tcp type>]
    …

Lines end in a line feed. A reader skips lines that are empty, malformed or of unknown types.
"""

from __future__ import annotations

import enum
import zlib
from typing import Final

from shoal.core import Address, DecodeError
from shoal.core.records import dataclass

DISCARD_PORT: Final = 9  # RFC 6544 section 4.5: the port of active candidates
LOCAL_PREFERENCE_MAX: Final = 65_535  # RFC 8445 section 5.1.2.1
PRIORITY_MAX: Final = 2**31 - 1  # RFC 8445 section 5.1.2
COMPONENT_MAX: Final = 256  # RFC 8445 section 5.1.2.1

# Reference 5.4: what Jami's own reader takes; ours keeps no more.
FOUNDATION_LENGTH_MAX: Final = 31
ADDRESS_LENGTH_MAX: Final = 79
REMOTE_CANDIDATES_MAX: Final = 31

TEXT_LENGTH_MAX: Final = 16_384  # ours: four times 31 lines at their longest usual
CREDENTIAL_LENGTH_MAX: Final = 256  # RFC 8839 section 5.4
_FIELDS_MIN: Final = 8  # foundation to type, ours: the format's


class Transport(enum.Enum):
    """What carries a candidate."""

    UDP = "UDP"
    TCP = "TCP"


class CandidateType(enum.Enum):
    """Where a candidate comes from, with its type preference (reference 5.4)."""

    HOST = "host"
    SRFLX = "srflx"
    PRFLX = "prflx"
    RELAY = "relay"

    @property
    def preference(self) -> int:
        """RFC 8445 section 5.1.2.2's recommendations."""
        return _PREFERENCES[self]


_PREFERENCES: Final = {
    CandidateType.HOST: 126,
    CandidateType.PRFLX: 110,
    CandidateType.SRFLX: 100,
    CandidateType.RELAY: 0,
}


class TcpType(enum.Enum):
    """Who opens the connection (RFC 6544 section 4.5)."""

    ACTIVE = "active"
    PASSIVE = "passive"
    SIMULTANEOUS = "so"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One address at which a component may be reached."""

    foundation: str
    component: int
    transport: Transport
    priority: int
    addr: Address
    type: CandidateType
    tcp_type: TcpType | None = None

    def to_text(self) -> str:
        """Write the candidate's line, without its end."""
        line = (
            f"{self.foundation} {self.component} {self.transport.value} {self.priority}"
            f" {self.addr.host} {self.addr.port} typ {self.type.value}"
        )
        return line if self.tcp_type is None else f"{line} tcptype {self.tcp_type.value}"

    @classmethod
    def parse(cls, line: str) -> Candidate:
        """Read one line.

        Raises:
            DecodeError: it is not a candidate that we understand.
        """
        fields = line.split()
        if len(fields) < _FIELDS_MIN or fields[6] != "typ" or len(fields) % 2:
            raise DecodeError(f"not a candidate: {line[:80]!r}")
        if len(fields[0]) > FOUNDATION_LENGTH_MAX or len(fields[4]) > ADDRESS_LENGTH_MAX:
            raise DecodeError("foundation or address of a candidate too long")
        extensions = dict(zip(fields[8::2], fields[9::2], strict=True))
        try:
            transport = Transport(fields[2].upper())
            tcp_type = TcpType(extensions["tcptype"]) if transport is Transport.TCP else None
            kind = CandidateType(fields[7])
        except (ValueError, KeyError) as error:
            raise DecodeError(f"candidate of an unknown kind: {line[:120]!r}") from error
        component = _number(fields[1], 1, COMPONENT_MAX)
        priority = _number(fields[3], 0, PRIORITY_MAX)
        addr = Address.parse(fields[4], _number(fields[5], 1, 65_535))
        return cls(fields[0], component, transport, priority, addr, kind, tcp_type)


@dataclass(frozen=True, slots=True)
class IceDescription:
    """What one side tells the other: credentials and candidates."""

    ufrag: str
    pwd: str
    candidates: tuple[Candidate, ...]

    def to_text(self) -> str:
        """Write the ICE message of a connection request."""
        lines = [self.ufrag, self.pwd, *(each.to_text() for each in self.candidates)]
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str | bytes) -> IceDescription:
        """Read a peer's ICE message; candidates that cannot be understood are left out.

        Raises:
            DecodeError: there are no credentials, or the text is too long.
        """
        if len(text) > TEXT_LENGTH_MAX:
            raise DecodeError(f"ICE message longer than {TEXT_LENGTH_MAX}")
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        lines = [line for each in text.split("\n") if (line := each.strip())]
        if len(lines) < 2:  # noqa: PLR2004 - ufrag and pwd
            raise DecodeError("ICE message without credentials")
        ufrag, pwd, *rest = lines
        for credential in (ufrag, pwd):
            if len(credential) > CREDENTIAL_LENGTH_MAX or not _is_token(credential):
                raise DecodeError("credentials that are not ICE's")
        candidates: list[Candidate] = []
        for line in rest:
            try:
                candidate = Candidate.parse(line)
            except DecodeError:
                continue
            if candidate not in candidates:
                candidates.append(candidate)
            if len(candidates) == REMOTE_CANDIDATES_MAX:
                break
        return cls(ufrag, pwd, tuple(candidates))


def priority(kind: CandidateType, local_preference: int, component: int = 1) -> int:
    """Return a candidate's priority (RFC 8445 section 5.1.2.1)."""
    return kind.preference << 24 | local_preference << 8 | COMPONENT_MAX - component


def foundation(kind: CandidateType, base: bytes) -> str:
    """Return a letter for the type and digits for the base address (reference 5.4)."""
    number = int.from_bytes(base) if len(base) == 4 else zlib.crc32(base)  # noqa: PLR2004 - IPv4
    return f"{kind.value[0].upper()}{number:x}"


def peer_reflexive(addr: Address, component: int, transport: Transport) -> Candidate:
    """Return the candidate of a peer that reached us from an address it did not list."""
    return Candidate(
        foundation(CandidateType.PRFLX, addr.ip),
        component,
        transport,
        priority(CandidateType.PRFLX, 0, component),
        addr,
        CandidateType.PRFLX,
        TcpType.ACTIVE if transport is Transport.TCP else None,
    )


def _number(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or not low <= int(text) <= high:  # noqa: PLR2004 - digits of 2^31
        raise DecodeError(f"not a number from {low} to {high}: {text[:20]!r}")
    return int(text)


def _is_token(text: str) -> bool:
    """Tell whether *text* is what USERNAME and keys may hold: visible ASCII, no colon."""
    return all("!" <= character <= "~" and character != ":" for character in text)
