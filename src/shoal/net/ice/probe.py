"""A question to a STUN server over TCP: under which address does it see us?

Over TCP the answer's port belongs to this one connection; its address is worth knowing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.core import DecodeError
from shoal.net import stun
from shoal.net.ice import binding
from shoal.net.stun import Class

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.core import Address
    from shoal.net.ice.context import Context

    Answered = Callable[["TcpProbe", "Address | None", float], None]


def mapped_address(data: bytes, transaction: bytes) -> Address | None:
    """Return what a STUN server's answer says; None if *data* is not one."""
    try:
        message = stun.decode(data)
    except DecodeError:
        return None
    if message.kind is not Class.SUCCESS or message.transaction != transaction:
        return None
    mapped: Address | None = message.attributes.get(
        "XOR-MAPPED-ADDRESS", message.attributes.get("MAPPED-ADDRESS")
    )
    return mapped


class TcpProbe:
    """One connection to a STUN server, closed after its answer."""

    def __init__(self, context: Context, addr: Address, answered: Answered) -> None:
        self._context = context
        self._answered = answered
        self._transaction = context.draw_transaction_id()
        self._begun = b""
        self._link: int | None = context.connect(self, None, addr)

    def opened(self, local: Address, remote: Address, now: float) -> None:
        """Ask."""
        assert self._link is not None
        self._context.write(self._link, binding.probe(self._transaction))

    def received(self, data: bytes | memoryview, now: float) -> None:
        """Take the answer."""
        self._begun += data
        if len(self._begun) < stun.HEADER_LENGTH:
            return
        length = stun.HEADER_LENGTH + int.from_bytes(self._begun[2:4])
        if len(self._begun) >= length:
            self._finish(mapped_address(self._begun[:length], self._transaction), now)

    def ended(self, now: float) -> None:
        """No answer."""
        self._finish(None, now)

    def lost(self, reason: str, now: float) -> None:
        """No server."""
        self._finish(None, now)

    def close(self) -> None:
        """Ask no more."""
        self._context.close_link(self._link)

    def _finish(self, mapped: Address | None, now: float) -> None:
        self._context.close_link(self._link)
        self._answered(self, mapped, now)
