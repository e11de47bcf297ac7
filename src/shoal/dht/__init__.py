"""The key-value network: OpenDHT's protocol, as engines without I/O and as an asyncio node.

Names are imported when they are first used, so that a codec costs no event loop and no
cryptography. Errors are in `shoal.dht.errors`, the HTTP proxy in `shoal.dht.proxy`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.dht.config import DhtConfig
    from shoal.dht.contents import CERTIFICATE, CertificateValue
    from shoal.dht.driver.node import DhtNode
    from shoal.dht.driver.operations import Added, Expired, Lagged, ListenEvent, PutResult
    from shoal.dht.driver.pht import Pht
    from shoal.dht.driver.stats import NodeStats
    from shoal.dht.effects import Status
    from shoal.dht.engine import DhtEngine
    from shoal.dht.pht.entry import IndexValue
    from shoal.dht.query import Condition, Field, Query, Row, Where
    from shoal.dht.secure.engine import SecureEngine
    from shoal.dht.types import TypeRegistry, ValueType
    from shoal.dht.value import Value

__all__ = [
    "CERTIFICATE",
    "Added",
    "CertificateValue",
    "Condition",
    "DhtConfig",
    "DhtEngine",
    "DhtNode",
    "Expired",
    "Field",
    "IndexValue",
    "Lagged",
    "ListenEvent",
    "NodeStats",
    "Pht",
    "PutResult",
    "Query",
    "Row",
    "SecureEngine",
    "Status",
    "TypeRegistry",
    "Value",
    "ValueType",
    "Where",
]

_MODULES = {
    "config": ("DhtConfig",),
    "contents": ("CERTIFICATE", "CertificateValue"),
    "driver.node": ("DhtNode",),
    "driver.operations": ("Added", "Expired", "Lagged", "ListenEvent", "PutResult"),
    "driver.pht": ("Pht",),
    "driver.stats": ("NodeStats",),
    "effects": ("Status",),
    "engine": ("DhtEngine",),
    "pht.entry": ("IndexValue",),
    "query": ("Condition", "Field", "Query", "Row", "Where"),
    "secure.engine": ("SecureEngine",),
    "types": ("TypeRegistry", "ValueType"),
    "value": ("Value",),
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
