"""`shoal.chain`: what it offers, and that offering it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shoal.chain


def test_every_name_is_there() -> None:
    """And nothing beside `__all__` is looked up."""
    for name in shoal.chain.__all__:
        assert getattr(shoal.chain, name) is not None
    assert set(shoal.chain.__all__) <= set(dir(shoal.chain))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        shoal.chain.Nothing  # noqa: B018 - the access is what is tested


def test_nothing_is_imported_before_it_is_used() -> None:
    """A registry and an address need no event loop, no virtual machine, no signer, no HTTP."""
    code = (
        "import sys, shoal.chain\n"
        "print([m for m in sys.modules if m.startswith('shoal.')])\n"
        "shoal.chain.Registry, shoal.chain.ChainAddress, shoal.chain.TransactionEngine\n"
        "print([m for m in ('asyncio', 'pyrevm', 'coincurve', 'httpx2') if m in sys.modules])\n"
        "import shoal.chain.driver\n"
        "print([m for m in ('pyrevm', 'coincurve', 'httpx2') if m in sys.modules])"
    )
    shown = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout == "['shoal.chain']\n[]\n[]\n"
