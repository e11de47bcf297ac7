"""Keys: their addresses and signatures are those of other libraries, and they show no secret."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.chain.errors import InvalidChainKeyError, SignerMissingError
from shoal.chain.keys import ORDER, ChainKey, Signature, recover
from shoal.core import DecodeError
from shoal.sim import SeededEntropy
from tests.unit.chain.vectors import ETHEREUM

KEY = ChainKey(bytes(31) + b"\7")


@pytest.mark.parametrize("vector", ETHEREUM["transactions"][::6], ids=lambda each: each["address"])
def test_addresses_are_those_of_others(vector: dict[str, Any]) -> None:
    """From the same secret."""
    key = ChainKey.parse("0x" + vector["key"])

    assert str(key.address) == vector["address"]
    assert key.export() == vector["key"]
    assert vector["key"] not in repr(key)
    assert key == ChainKey.parse(vector["key"])
    assert len({key, ChainKey.parse(vector["key"]), KEY}) == 2


@given(st.binary(min_size=32, max_size=32))
def test_whoever_signed_is_found(digest: bytes) -> None:
    """And the same message has always the same signature, with the lower S."""
    signature = KEY.sign(digest)

    assert signature == KEY.sign(digest)
    assert signature.s <= ORDER // 2
    assert recover(digest, signature) == KEY.address


@given(st.integers(0, 2**256), st.integers(0, 2**256), st.booleans())
def test_any_signature_has_a_signer_or_none(r: int, s: int, is_odd: bool) -> None:
    """Whatever the numbers: an address, or DecodeError."""
    try:
        recover(bytes(32), Signature(r, s, is_odd))
    except DecodeError:
        return


def test_the_higher_s_is_refused() -> None:
    """Else everybody could make a second signature of each."""
    mark = KEY.sign(bytes(32))
    with pytest.raises(DecodeError, match="range"):
        recover(bytes(32), Signature(mark.r, ORDER - mark.s, not mark.is_odd))


def test_a_point_that_is_not_on_the_curve_signed_nothing() -> None:
    """X = 5 has no Y."""
    with pytest.raises(DecodeError, match="nobody"):
        recover(bytes(32), Signature(5, 1, is_odd=False))


@pytest.mark.parametrize(
    "text", ["", "12", "zz" * 32, "00" * 32, f"{ORDER:064x}", "0x0x" + "1" * 60]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    """By a typed error that does not show what might be a secret."""
    with pytest.raises(InvalidChainKeyError) as refused:
        ChainKey.parse(text)
    assert text == "" or text not in str(refused.value)


def test_new_keys_come_from_the_entropy() -> None:
    """The same seed, the same key."""
    keys = [ChainKey.generate(SeededEntropy(seed)) for seed in (1, 1, 2)]

    assert keys[0] == keys[1] != keys[2]
    assert keys[0] != "a key"


def test_without_the_library_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install, in the error."""
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "coincurve":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SignerMissingError):
        KEY.sign(bytes(32))
    assert "pip install 'shoal[chain]'" in (SignerMissingError.__doc__ or "")
