"""`shoal.dht`: what it offers, and that offering it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shoal.dht


def test_every_name_is_there() -> None:
    """And nothing beside `__all__` is looked up."""
    for name in shoal.dht.__all__:
        assert getattr(shoal.dht, name) is not None
    assert set(shoal.dht.__all__) <= set(dir(shoal.dht))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        shoal.dht.Nothing  # noqa: B018 - the access is what is tested


def test_nothing_is_imported_before_it_is_used() -> None:
    """`import shoal.dht` brings in one module, `Value` no event loop."""
    code = (
        "import sys, shoal.dht\n"
        "print([m for m in sys.modules if m.startswith('shoal.')])\n"
        "shoal.dht.Value\n"
        "print([m for m in ('asyncio', 'ssl', 'cryptography') if m in sys.modules])"
    )
    shown = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout == "['shoal.dht']\n[]\n"
