"""Where in the DHT offers and answers are put."""

from __future__ import annotations

from shoal.core import DeviceId, InfoHash
from shoal.net.signalling import peer_key


def test_the_keys_are_those_of_both_generations() -> None:
    """Reference A.2: by the short id as 13.7 has it, by the long one as Jami of 2026 has it."""
    short = InfoHash.from_hex("c82c3032f8b2f82815834429742028cf963f27e1")
    assert peer_key(short).hex() == "3c4800bb6577cfbc1c53d0bd3e2bafc1e10d14d7"
    long = "246cbd833ee0aedade0896235328b0100b63844d058da3b3998c2809e5479046"
    assert peer_key(DeviceId.from_hex(long)).hex() == "6d606f819e112e4d39f45630ca3b576cc5ce31b7"
