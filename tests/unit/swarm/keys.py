"""RSA keys that follow from a name: the same in each run, so that a seed replays to the byte.

NOT SECURE, and as small as we take them, so that they cost milliseconds.
"""

from __future__ import annotations

import random
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa

from shoal.crypto import PrivateKey

_EXPONENT: Final = 65_537
_PRIME_BITS: Final = 512
_SMALL: Final = [n for n in range(3, 2_000, 2) if all(n % m for m in range(3, int(n**0.5) + 1, 2))]


def seeded_key(name: str) -> PrivateKey:
    """Return the key of *name*."""
    chance = random.Random(name)  # noqa: S311 - that it can be guessed is the point
    first, second = sorted((_prime(chance), _prime(chance)), reverse=True)
    exponent = rsa.rsa_recover_private_exponent(_EXPONENT, first, second)
    numbers = rsa.RSAPrivateNumbers(
        p=first,
        q=second,
        d=exponent,
        dmp1=rsa.rsa_crt_dmp1(exponent, first),
        dmq1=rsa.rsa_crt_dmq1(exponent, second),
        iqmp=rsa.rsa_crt_iqmp(first, second),
        public_numbers=rsa.RSAPublicNumbers(_EXPONENT, first * second),
    )
    return PrivateKey(numbers.private_key())


def _prime(chance: random.Random) -> int:
    """Draw a number with its two highest bits set, and go up to the next prime."""
    number = chance.getrandbits(_PRIME_BITS) | (3 << _PRIME_BITS - 2) | 1
    while not _is_prime(number):
        number += 2
    return number


def _is_prime(number: int) -> bool:
    """Say so; a few rounds of Fermat are plenty for numbers that nobody chose."""
    if any(number % small == 0 for small in _SMALL) or number % _EXPONENT == 1:
        return False
    return all(pow(base, number - 1, number) == 1 for base in (2, 3, 5))
