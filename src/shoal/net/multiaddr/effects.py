"""What dialling and being dialled order and report."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from shoal.core import Compute
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import Address
    from shoal.net.errors import DialError
    from shoal.net.multiaddr.address import Multiaddr
    from shoal.net.peer import Peer


@dataclass(frozen=True, slots=True)
class OpenLink:
    """Action: connect to *remote*. Answer with `link_opened` or `link_failed`."""

    link: int
    remote: Address


class WriteLink(NamedTuple):
    """Action: write *data* to *link*."""

    link: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Action: close *link* once what was written is out."""

    link: int


@dataclass(frozen=True, slots=True)
class Dialled:
    """Event: *link* leads to the device of *dial*, by *address*. What comes follows as `Came`."""

    dial: int
    link: int
    address: Multiaddr


@dataclass(frozen=True, slots=True)
class DialFailed:
    """Event: no address of *dial* leads to its device."""

    dial: int
    error: DialError


@dataclass(frozen=True, slots=True)
class Greeted:
    """Event: somebody who says to be *peer* is at *link*."""

    link: int
    peer: Peer


class Came(NamedTuple):
    """Event: bytes for whoever uses the link."""

    link: int
    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Ended:
    """Event: a link that was dialled or greeted has ended or broken; it is closed."""

    link: int


Effect: TypeAlias = (
    OpenLink | WriteLink | CloseLink | Compute | Dialled | DialFailed | Greeted | Came | Ended
)
