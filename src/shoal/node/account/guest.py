"""A device without an account, while it waits to be added to one: it is found, and called.

It publishes its throw-away chain, and takes offers. Whom it believes, and what it accepts, is up to
whoever holds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.identity import check_device, parse_chain
from shoal.node.account import effects as fx
from shoal.node.account.chains import Chains, check_real
from shoal.node.account.operations import Clock, Operations
from shoal.node.account.publication import Publication
from shoal.node.account.signalling import DhtSignalling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import Entropy
    from shoal.crypto import Certificate
    from shoal.dht import Value
    from shoal.identity import DeviceChain
    from shoal.net.effects import SendSignal
    from shoal.node.account.chains import ChainStore


class GuestEngine:
    """Lets one device be found under its ids, and offers reach it."""

    def __init__(
        self,
        certificate: Certificate,
        *,
        store: ChainStore,
        entropy: Entropy,
        now: float,
        wall_offset: float,
    ) -> None:
        clock = Clock(wall_offset)
        self.chain = check_device(certificate, clock.wall(now))
        self._operations = Operations()
        self._chains = Chains(
            self._operations,
            clock,
            store,
            parse=parse_chain,
            check=check_real,
            check_revocations=_believe,
        )
        self._publication = Publication(self._operations, entropy, certificate)
        self._signalling = DhtSignalling(
            self._operations, self._chains, self.chain.device, self.chain.short_id
        )

    @property
    def is_published(self) -> bool:
        """Whether others find the chain."""
        return self._publication.is_chain_out

    def start(self, now: float) -> list[object]:
        """Publish the chain, and listen for offers."""
        return self._settle([*self._publication.start(now), *self._signalling.start()])

    def stop(self, now: float) -> list[object]:
        """Withdraw the chain, and listen no longer."""
        return self._settle([*self._publication.stop(), *self._signalling.stop()])

    def send_signal(self, signal: SendSignal, now: float) -> list[object]:
        """Carry an answer."""
        return self._settle(self._signalling.send(signal))

    def values_found(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Take values of a get or a listen."""
        owner = self._operations.owner(op)
        return [] if owner is None else self._settle(owner.values_found(op, values, now))

    def values_expired(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Take values that are gone."""
        owner = self._operations.owner(op)
        return [] if owner is None else self._settle(owner.values_expired(op, values, now))

    def dht_done(self, op: int, is_ok: bool, now: float) -> list[object]:
        """Take the end of a get or a put."""
        owner = self._operations.end(op)
        return [] if owner is None else self._settle(owner.dht_done(op, is_ok, now))

    def computed(self, compute_id: int, result: object, now: float) -> list[object]:
        """Take the result of a `Compute`, or the exception that it raised."""
        owner = self._operations.end_job(compute_id)
        return [] if owner is None else self._settle(owner.computed(compute_id, result, now))

    def next_deadline(self) -> float | None:
        """When `advance` next has work, or None. Pure."""
        deadlines = (self._publication.next_deadline(), self._signalling.next_deadline())
        return min((each for each in deadlines if each is not None), default=None)

    def advance(self, now: float) -> list[object]:
        """Do what is due at *now*."""
        return self._settle([*self._publication.advance(now), *self._signalling.advance(now)])

    def _settle(self, effects: Sequence[object]) -> list[object]:
        """Hand chains to the offers that wait for them."""
        out: list[object] = []
        for effect in effects:
            match effect:
                case fx.ChainFound(op, chain):
                    out += self._signalling.chain_found(op, chain)
                case fx.ChainMissing(op, error):
                    out += self._signalling.chain_missing(op, error)
                case _:
                    out.append(effect)
        return out


def _believe(chain: DeviceChain) -> None:
    """Nothing is known to be revoked by those whom one has never met."""
