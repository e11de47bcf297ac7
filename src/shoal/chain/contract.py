"""Compiled contracts, as they are shipped beside their sources."""

from __future__ import annotations

import functools
import json
from importlib.resources import files

from shoal.core.records import dataclass


@dataclass(frozen=True, slots=True)
class Contract:
    """What a contract compiled to.

    Attributes:
        compiler: that made it, with its version.
        bytecode: creates the contract when sent to nobody.
        runtime: what is then at its address.
    """

    name: str
    compiler: str
    bytecode: bytes
    runtime: bytes


@functools.cache
def load_contract(name: str) -> Contract:
    """Return one of the contracts in `shoal.chain.contracts`."""
    text = files("shoal.chain").joinpath("contracts", f"{name}.json").read_text("utf-8")
    content = json.loads(text)
    return Contract(
        name=name,
        compiler=content["compiler"],
        bytecode=bytes.fromhex(content["bytecode"][2:]),
        runtime=bytes.fromhex(content["runtime"][2:]),
    )
