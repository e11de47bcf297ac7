"""The Binding messages of connectivity checks, in Jami's order of attributes (reference 5.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core.records import dataclass
from shoal.net import stun
from shoal.net.stun import Class, Message, Method

if TYPE_CHECKING:
    from shoal.core import Address

ROLE_CONFLICT: Final = 487  # RFC 8445 section 7.3.1.1
BAD_REQUEST: Final = 400  # RFC 8489 section 14.8
UNAUTHENTICATED: Final = 401  # RFC 8489 section 14.8
UNKNOWN_ATTRIBUTE: Final = 420  # RFC 8489 section 14.8


@dataclass(frozen=True, slots=True)
class Credentials:
    """Short-term credentials of both sides (RFC 8445 section 7.2.2)."""

    local_ufrag: str
    local_pwd: str
    remote_ufrag: str
    remote_pwd: str


def request(
    transaction: bytes,
    credentials: Credentials,
    *,
    priority: int,
    is_controlling: bool,
    tie_breaker: int,
    nominates: bool = False,
    software: str | None = None,
) -> bytes:
    """Write a check. PRIORITY comes first and always: without it Jami does not answer."""
    attributes: dict[str, object] = {"PRIORITY": priority}
    if nominates:
        attributes["USE-CANDIDATE"] = None
    attributes["ICE-CONTROLLING" if is_controlling else "ICE-CONTROLLED"] = tie_breaker
    if software is not None:
        attributes["SOFTWARE"] = software
    attributes["USERNAME"] = f"{credentials.remote_ufrag}:{credentials.local_ufrag}"
    message = Message(Method.BINDING, Class.REQUEST, transaction, attributes)
    return stun.encode(message, key=credentials.remote_pwd.encode())


def is_authentic(message: Message, ufrag: str, pwd: str) -> bool:
    """Tell whether a check is for us, from somebody with our password, and complete."""
    username = message.attributes.get("USERNAME", "")
    return (
        message.method is Method.BINDING
        and message.kind is Class.REQUEST
        and username.startswith(f"{ufrag}:")
        and "PRIORITY" in message.attributes  # reference 5.6: mandatory
        and message.is_signed_with(pwd.encode())
    )


def success(transaction: bytes, mapped: Address, pwd: str) -> bytes:
    """Answer a check that came from *mapped*, signed with our own password."""
    attributes = {"XOR-MAPPED-ADDRESS": mapped}
    message = Message(Method.BINDING, Class.SUCCESS, transaction, attributes)
    return stun.encode(message, key=pwd.encode())


def failure(transaction: bytes, code: int, reason: str, pwd: str) -> bytes:
    """Answer a check with an error."""
    message = Message(Method.BINDING, Class.ERROR, transaction, {"ERROR-CODE": (code, reason)})
    return stun.encode(message, key=pwd.encode())


def keep_alive(transaction: bytes) -> bytes:
    """Write the indication that keeps NATs' memory of a path fresh."""
    return stun.encode(Message(Method.BINDING, Class.INDICATION, transaction))


def probe(transaction: bytes) -> bytes:
    """Write the question to a STUN server: from which address do you see me?"""
    return stun.encode(Message(Method.BINDING, Class.REQUEST, transaction))
