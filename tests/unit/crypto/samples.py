"""Keys, vectors and small worlds that the tests of this package share."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa

from shoal.crypto.identity import Identity, self_signed
from shoal.crypto.issuing import Profile
from shoal.crypto.keys import PrivateKey
from shoal.sim.entropy import SeededEntropy

FOLDER: Final = Path(__file__).parents[2] / "vectors" / "crypto"
DHTNODE: Final = FOLDER / "dhtnode-2.4.12"
WALL: Final = 1_800_000_000.0  # January 2027
DAY: Final = 86_400.0
YEAR: Final = 365 * DAY


@cache
def vectors(name: str = "opendht") -> dict[str, str]:
    """Return the vectors in one file, nested names joined by dots."""
    loaded = json.loads((FOLDER / f"{name}.json").read_text())
    flat: dict[str, str] = {}
    for key, value in loaded.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        flat.update({f"{key}.{part}".rstrip("."): str(text) for part, text in inner})
    return flat


@cache
def rsa_key() -> PrivateKey:
    """Return the reference's test key A24, RSA-2048, rebuilt from its primes."""
    p, q = int(vectors()["key.p"], 16), int(vectors()["key.q"], 16)
    e = int(vectors()["key.e"])
    d = pow(e, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    )
    return PrivateKey(numbers.private_key())


@cache
def other_rsa_key() -> PrivateKey:
    """Return another RSA-2048 key, the same for the whole run."""
    return PrivateKey.generate(2048)


@cache
def weak_rsa_key() -> PrivateKey:
    """Return an RSA-1024 key, the same for the whole run."""
    return PrivateKey.generate(1024)


def entropy(seed: int = 1) -> SeededEntropy:
    """Return chance from *seed*."""
    return SeededEntropy(seed)


def authority(name: str = "ca", wall_now: float = WALL, seed: int = 1) -> Identity:
    """Return a fresh P-384 authority of its own."""
    key = PrivateKey.generate_ec()
    return self_signed(key, name, entropy=entropy(seed), wall_now=wall_now)


def moment(days: float) -> datetime:
    """Return the date that many days after `WALL`."""
    return datetime.fromtimestamp(WALL + days * DAY, UTC)


def under(
    issuer: Identity,
    name: str,
    *,
    is_ca: bool = False,
    wall_now: float = WALL,
    seed: int = 2,
    key: PrivateKey | None = None,
) -> Identity:
    """Return an identity that *issuer* certified, with a fresh P-384 key or *key*."""
    return issuer.issue(
        key or PrivateKey.generate_ec(),
        name,
        entropy=entropy(seed),
        wall_now=wall_now,
        profile=Profile.AUTHORITY if is_ca else Profile.LEAF,
    )
