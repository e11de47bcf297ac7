"""The package's names, which load on first use."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shoal import crypto


@pytest.mark.parametrize("name", crypto.__all__)
def test_every_name_is_there(name: str) -> None:
    """Defined in a module of the package, under its own name."""
    value = getattr(crypto, name)
    assert value.__name__ == name
    assert value.__module__.startswith("shoal.crypto.")


def test_unknown_names_are_not() -> None:
    """With Python's own error."""
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = crypto.nothing  # type: ignore[attr-defined]


def test_importing_loads_no_cryptography() -> None:
    """The first use does."""
    code = (
        "import sys, shoal.crypto as c; assert 'cryptography' not in sys.modules;"
        "c.PublicKey; assert 'cryptography' in sys.modules"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)  # noqa: S603 - ours
