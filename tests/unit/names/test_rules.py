"""What is a name, and what is not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.chain import is_name
from shoal.names.errors import InvalidNameError
from shoal.names.rules import NAME_PATTERN, canonical_name, is_canonical_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("alice", "alice"),
        ("Alice-01_X", "alice-01_x"),
        ("a-b", "a-b"),
        ("___", "___"),
        ("x" * 32, "x" * 32),
    ],
)
def test_names(text: str, name: str) -> None:
    """Letters are lowered; everything else stays."""
    assert canonical_name(text) == name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "shorter"),
        ("ab", "shorter"),
        ("x" * 33, "longer"),
        ("ab" * 20, "longer"),  # an account id is no name
        ("al ice", "other characters"),
        ("alice\n", "other characters"),
        ("älice", "other characters"),
        ("ali.ce", "other characters"),
        ("\N{KELVIN SIGN}elvin", "other characters"),  # which lower() would make a k
        ("\N{ARABIC-INDIC DIGIT ONE}23", "other characters"),
    ],
)
def test_no_names(text: str, problem: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(InvalidNameError, match=problem):
        canonical_name(text)


@given(st.text(max_size=40) | st.from_regex(NAME_PATTERN) | st.from_regex("^[a-zA-Z0-9-_]{2,34}$"))
def test_we_and_the_contract_agree(text: str) -> None:
    """What is canonical here is what the contract takes, and the pattern that is published."""
    assert is_canonical_name(text) == is_name(text)
    assert is_canonical_name(text) == (re.fullmatch(NAME_PATTERN[1:-1], text) is not None)
    try:
        name = canonical_name(text)
    except InvalidNameError:
        assert not is_name(text)
    else:
        assert canonical_name(name) == name
        assert is_name(name)
