"""The chain: the registry of names, transactions, and two kinds of chain behind one interface.

Names are imported when they are first used, so that an address costs no event loop and no virtual
machine. Errors are in `shoal.chain.errors`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.chain.addresses import BlockHash, ChainAddress, TransactionHash, keccak256
    from shoal.chain.backend import Chain
    from shoal.chain.config import RpcConfig, TransactionConfig
    from shoal.chain.engine import TransactionEngine
    from shoal.chain.following import (
        Applied,
        AskBlock,
        AskHead,
        AskLogs,
        Follower,
        Place,
        Undone,
    )
    from shoal.chain.genesis import Genesis
    from shoal.chain.keys import ChainKey
    from shoal.chain.registry import (
        NameRecord,
        NameReleased,
        NameReserved,
        NameTransferred,
        Registry,
        RegistryEvent,
        Reservation,
        is_name,
    )
    from shoal.chain.values import Block, Call, ChainHealth, ChainView, Fees, Log, Receipt

__all__ = [
    "Applied",
    "AskBlock",
    "AskHead",
    "AskLogs",
    "Block",
    "BlockHash",
    "Call",
    "Chain",
    "ChainAddress",
    "ChainHealth",
    "ChainKey",
    "ChainView",
    "Fees",
    "Follower",
    "Genesis",
    "Log",
    "NameRecord",
    "NameReleased",
    "NameReserved",
    "NameTransferred",
    "Place",
    "Receipt",
    "Registry",
    "RegistryEvent",
    "Reservation",
    "RpcConfig",
    "TransactionConfig",
    "TransactionEngine",
    "TransactionHash",
    "Undone",
    "is_name",
    "keccak256",
]

_MODULES = {
    "addresses": ("BlockHash", "ChainAddress", "TransactionHash", "keccak256"),
    "backend": ("Chain",),
    "config": ("RpcConfig", "TransactionConfig"),
    "engine": ("TransactionEngine",),
    "following": (
        "Applied",
        "AskBlock",
        "AskHead",
        "AskLogs",
        "Follower",
        "Place",
        "Undone",
    ),
    "genesis": ("Genesis",),
    "keys": ("ChainKey",),
    "registry": (
        "NameRecord",
        "NameReleased",
        "NameReserved",
        "NameTransferred",
        "Registry",
        "RegistryEvent",
        "Reservation",
        "is_name",
    ),
    "values": ("Block", "Call", "ChainHealth", "ChainView", "Fees", "Log", "Receipt"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
