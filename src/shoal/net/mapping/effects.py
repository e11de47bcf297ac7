"""What the port mapper orders and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from shoal.core import Address, SendDatagram
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.net.mapping.errors import MappingError


@dataclass(frozen=True, slots=True)
class AskOverHttp:
    """Action: send *request* to *addr* over TCP and hand everything that comes back over.

    By `http_answered` with this *id*, within `HTTP_TIME`; with None if that fails.
    """

    id: int
    addr: Address
    request: bytes


@dataclass(frozen=True, slots=True)
class Mapped:
    """Event: mapping *id* is in force at *external*; once more if that changes."""

    id: int
    external: Address


@dataclass(frozen=True, slots=True)
class MappingFailed:
    """Event: mapping *id* could not be made, or is lost; the last one about it."""

    id: int
    error: MappingError


Effect: TypeAlias = SendDatagram | AskOverHttp | Mapped | MappingFailed
