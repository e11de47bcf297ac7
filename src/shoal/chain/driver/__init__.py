"""Chains to read from and send to, on the disk and over the network."""

from shoal.chain.driver.embedded import EmbeddedChain, create_chain
from shoal.chain.driver.files import load_genesis, load_key, load_or_create_key, new_key, save_key
from shoal.chain.driver.opening import open_chain
from shoal.chain.driver.registry import EventsRead, FollowStep, NameEntry, RegistryClient
from shoal.chain.driver.sender import Pending, TransactionSender

__all__ = [
    "EmbeddedChain",
    "EventsRead",
    "FollowStep",
    "NameEntry",
    "Pending",
    "RegistryClient",
    "TransactionSender",
    "create_chain",
    "load_genesis",
    "load_key",
    "load_or_create_key",
    "new_key",
    "open_chain",
    "save_key",
]
