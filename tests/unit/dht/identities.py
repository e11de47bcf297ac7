"""Identities for tests: made once per process, as small as the library allows."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from shoal.crypto.identity import Identity, generate_ec_identity, generate_identity, self_signed
from shoal.crypto.keys import PrivateKey
from shoal.sim.entropy import SeededEntropy

WALL_NOW = 1_700_000_000.0
_VECTORS = Path(__file__).parents[2] / "vectors" / "crypto" / "opendht.json"


@functools.cache
def identity(name: str) -> Identity:
    """Return the RSA identity called *name*."""
    return generate_identity(name, bits=1024, entropy=SeededEntropy(1, name), wall_now=WALL_NOW)


@functools.cache
def ec_identity() -> Identity:
    """Return an identity that can't sign values."""
    return generate_ec_identity("curve", entropy=SeededEntropy(2), wall_now=WALL_NOW)


@functools.cache
def vectors() -> dict[str, Any]:
    """Return what was recorded from OpenDHT."""
    recorded: dict[str, Any] = json.loads(_VECTORS.read_text())
    return recorded


@functools.cache
def reference_identity() -> Identity:
    """Return the key of the reference's vectors, which signed and encrypted them."""
    recorded = vectors()["key"]
    p, q, e = int(recorded["p"], 16), int(recorded["q"], 16), recorded["e"]
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(e, p * q),
    )
    key = PrivateKey(numbers.private_key())
    return self_signed(key, "reference", entropy=SeededEntropy(3), wall_now=WALL_NOW)
