"""The lab: a whole private network on this machine, people and all. `shoal lab` opens one.

Names are imported when they are first used. Errors are in `shoal.lab.errors`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.lab.config import LabConfig
    from shoal.lab.lab import Lab
    from shoal.lab.people import Person

__all__ = ["Lab", "LabConfig", "Person"]

_MODULES = {"config": ("LabConfig",), "lab": ("Lab",), "people": ("Person",)}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
