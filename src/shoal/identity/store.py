"""Certificates of devices that were met: found by short and by long id, kept across restarts.

Each device's chain is one file, `certificates/` and 64 hex digits of the long id, holding the text
pack: the same bytes that are published, because 13.7 compares them. A certificate that comes
without its issuer is completed from what the store holds, by the issuer's user id, which is the id
of its key.

Source: dhtnet certstore.cpp, CertificateStore; reference section 1.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError, InfoHash, Persist
from shoal.crypto import Certificate, complete_chain
from shoal.identity.effects import Forget

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.core import PublicKeyId

CHAINS_MAX: Final = 8192  # ours: 6 kB each on disk, 10 in memory
FOLDER: Final = "certificates"


class CertificateStore:
    """Chains by the ids of all their certificates; the one not used for longest goes when full."""

    def __init__(self, chains: Iterable[Certificate] = (), *, chains_max: int = CHAINS_MAX) -> None:
        self._chains_max = chains_max
        self._chains: dict[PublicKeyId, Certificate] = {}  # by device, the last used last
        self._long_ids: dict[InfoHash, PublicKeyId] = {}  # of devices, by short id
        self._issuers: dict[bytes, dict[bytes, Certificate]] = {}  # by short and long id; by DER
        self._uses: dict[bytes, int] = {}  # chains that an issuer is in, by DER
        for chain in chains:
            self.pin(chain)

    def __len__(self) -> int:
        return len(self._chains)

    def pin(self, certificate: Certificate) -> list[Persist | Forget]:
        """Keep a device's chain, in the place of an older one of the same key."""
        certificate = self.complete(certificate)
        if self._chains.get(certificate.long_id) == certificate:
            return []
        self._drop(certificate.long_id)
        self._chains[certificate.long_id] = certificate
        self._long_ids[certificate.id] = certificate.long_id
        for issuer in certificate.chain()[1:]:
            self._uses[issuer.der] = self._uses.get(issuer.der, 0) + 1
            for each in (issuer.id, issuer.long_id):
                self._issuers.setdefault(each, {})[issuer.der] = issuer
        effects: list[Persist | Forget] = [
            Persist(chain_file(certificate.long_id), certificate.to_pem().encode())
        ]
        if len(self._chains) > self._chains_max:
            effects += self.forget(next(iter(self._chains)))
        return effects

    def find(self, id: InfoHash | PublicKeyId) -> Certificate | None:  # noqa: A002 - the field's word
        """Return the certificate of the key with this short or long id, with its chain."""
        device = self._long_ids.get(id) if isinstance(id, InfoHash) else id
        if device is not None and (found := self._chains.pop(device, None)) is not None:
            self._chains[device] = found
            return found
        return next(iter(self._issuers.get(id, {}).values()), None)

    def complete(self, certificate: Certificate) -> Certificate:
        """Return *certificate* with the issuers that the store knows."""

        def find(link: Certificate) -> Certificate | None:
            try:
                issuer = self.find(InfoHash.from_hex(link.issuer_uid))
            except DecodeError:
                return None
            if issuer is None or issuer.subject != link.issuer_subject:
                return None
            return issuer.with_issuer(None)

        return complete_chain(certificate, find)

    def forget(self, device: PublicKeyId) -> list[Persist | Forget]:
        """Keep a device's chain no longer."""
        return [Forget(chain_file(device))] if self._drop(device) else []

    def _drop(self, device: PublicKeyId) -> bool:
        """Take a chain out of memory, and issuers that no other chain has."""
        chain = self._chains.pop(device, None)
        if chain is None:
            return False
        del self._long_ids[chain.id]
        for issuer in chain.chain()[1:]:
            self._uses[issuer.der] -= 1
            if self._uses[issuer.der]:
                continue
            del self._uses[issuer.der]
            for each in (issuer.id, issuer.long_id):
                del self._issuers[each][issuer.der]
                if not self._issuers[each]:
                    del self._issuers[each]
        return True


def chain_file(device: PublicKeyId) -> str:
    """Return where the chain of *device* is kept."""
    return f"{FOLDER}/{device}"
