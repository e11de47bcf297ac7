"""`shoal.identity`: what it offers, and that offering it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shoal.identity


def test_every_name_is_there() -> None:
    """And nothing beside `__all__` is looked up."""
    for name in shoal.identity.__all__:
        assert getattr(shoal.identity, name) is not None
    assert set(shoal.identity.__all__) <= set(dir(shoal.identity))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        shoal.identity.Nothing  # noqa: B018 - the access is what is tested


def test_nothing_is_imported_before_it_is_used() -> None:
    """`import shoal.identity` brings in one module, a codec no event loop."""
    code = (
        "import sys, shoal.identity\n"
        "print([m for m in sys.modules if m.startswith('shoal.')])\n"
        "shoal.identity.TrustRequest\n"
        "print([m for m in ('asyncio', 'ssl', 'argon2') if m in sys.modules])"
    )
    shown = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout == "['shoal.identity']\n[]\n"
