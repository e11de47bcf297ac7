"""Shipped contracts are what their sources compile to."""

from __future__ import annotations

import hashlib
import json
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Final

import pytest

from shoal.chain.contract import load_contract
from tests.peers.presence import Need, require

ROOT: Final = Path(__file__).parents[3]


def test_the_shipped_contract_is_of_the_shipped_source() -> None:
    """Its digest is recorded; no compiler is needed to see that one was changed alone."""
    folder = files("shoal.chain").joinpath("contracts")
    content = json.loads(folder.joinpath("Registry.json").read_text("utf-8"))
    source = folder.joinpath("Registry.vy").read_bytes()

    assert content["source_sha256"] == hashlib.sha256(source).hexdigest()
    assert content["compiler"] == load_contract("Registry").compiler == "vyper 0.4.3"


@pytest.mark.timeout(300)
def test_it_compiles_to_the_same_again() -> None:
    """By the pinned compiler, in its own environment: ABI and bytecode are equal."""
    require(Need.VYPER)
    done = subprocess.run(  # noqa: S603 - our own script
        [ROOT / "tools" / "compile-contracts", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_runtime_fits_a_contract() -> None:
    """EIP-170: 24,576 bytes."""
    contract = load_contract("Registry")
    assert 0 < len(contract.runtime) <= 24_576
    assert contract.runtime in contract.bytecode
