"""Who is called what: a registry on a chain, a name server that Jami's clients use, and a client.

Names are imported when they are first used, so that reading an address costs no cryptography and
no event loop. Errors are in `shoal.names.errors`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.names.config import NameClientConfig, NameServerConfig, NameServerLimits
    from shoal.names.driver.client import NameClient, Resolved
    from shoal.names.driver.server import NameServer
    from shoal.names.engine import NameServerEngine
    from shoal.names.record import NameRecord, sign_name
    from shoal.names.rules import canonical_name, is_canonical_name
    from shoal.names.uris import Target, parse_address, server_url

__all__ = [
    "NameClient",
    "NameClientConfig",
    "NameRecord",
    "NameServer",
    "NameServerConfig",
    "NameServerEngine",
    "NameServerLimits",
    "Resolved",
    "Target",
    "canonical_name",
    "is_canonical_name",
    "parse_address",
    "server_url",
    "sign_name",
]

_MODULES = {
    "config": ("NameClientConfig", "NameServerConfig", "NameServerLimits"),
    "driver.client": ("NameClient", "Resolved"),
    "driver.server": ("NameServer",),
    "engine": ("NameServerEngine",),
    "record": ("NameRecord", "sign_name"),
    "rules": ("canonical_name", "is_canonical_name"),
    "uris": ("Target", "parse_address", "server_url"),
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
