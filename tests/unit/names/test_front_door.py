"""The front door: every name leads somewhere, and costs nothing before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shoal.names


def test_every_name_is_there() -> None:
    """All that is promised can be had."""
    for name in shoal.names.__all__:
        assert getattr(shoal.names, name) is not None
        assert name in dir(shoal.names)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = shoal.names.nothing


def test_an_address_costs_no_cryptography() -> None:
    """Whoever reads what a person typed need not load X.509."""
    program = "import sys\nfrom shoal.names import parse_address\nprint(*sys.modules)"
    loaded = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"asyncio", "cryptography", "httptools", "httpx2"} & set(loaded)
