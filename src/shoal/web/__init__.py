"""The web: a node's HTTP API and the page to talk in, on loopback. Needs `shoal[web]`.

Names are imported when they are first used. Errors are in `shoal.web.errors`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.web.config import WebConfig, WebLimits
    from shoal.web.front import Front
    from shoal.web.server import WebServer
    from shoal.web.tokens import Token, TokenFile

__all__ = ["Front", "Token", "TokenFile", "WebConfig", "WebLimits", "WebServer"]

_MODULES = {
    "config": ("WebConfig", "WebLimits"),
    "front": ("Front",),
    "server": ("WebServer",),
    "tokens": ("Token", "TokenFile"),
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
