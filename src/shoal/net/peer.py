"""What connections need to know of the far end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from shoal.core import AccountId, DeviceId, InfoHash
    from shoal.crypto.suite import SuiteCertificate


class Peer(Protocol):
    """A device whose certificate chain was checked, as `shoal.identity.DeviceChain` is."""

    @property
    def device(self) -> DeviceId:
        """The long id of the device's key."""
        ...

    @property
    def short_id(self) -> InfoHash:
        """The short id of the device's key."""
        ...

    @property
    def account(self) -> AccountId:
        """The account that it belongs to."""
        ...

    @property
    def certificate(self) -> SuiteCertificate:
        """Its certificate with the chain of its issuers."""
        ...


class ChannelPolicy(Protocol):
    """Who may connect and open what; the layer above decides. All of it is pure and quick."""

    def may_connect(self, peer: Peer) -> bool:
        """Whether *peer* may connect at all. A no is silent: the peer cannot tell it from absence.

        Asked when an offer comes, and again once the peer has proven who it is.
        """
        ...

    def accepts(self, peer: Peer, name: str) -> bool:
        """Whether a channel of this *name*, which *peer* asks for, is taken."""
        ...
