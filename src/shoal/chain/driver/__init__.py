"""Chains to read from and send to, on the disk and over the network."""

from shoal.chain.driver.embedded import EmbeddedChain, create_chain
from shoal.chain.driver.files import load_genesis, load_key, load_or_create_key, new_key, save_key

__all__ = [
    "EmbeddedChain",
    "create_chain",
    "load_genesis",
    "load_key",
    "load_or_create_key",
    "new_key",
    "save_key",
]
