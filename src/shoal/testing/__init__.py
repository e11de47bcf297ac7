"""For those who write bots: a network of people on this machine, for tests.

    def test_echo(shoal_network: LoopbackNetwork) -> None:
        echo = shoal_network.bot(bot)
        alice = shoal_network.user("Alice")
        talk = alice.meet(echo)
        talk.say("hello")
        talk.expect("hello")

The fixture `shoal_network` comes with Shoal: pytest finds it by itself. Everything is real but the
clock of bots: nodes, keys, connections, on loopback, in a DHT of their own; nothing leaves the
machine. So a test takes seconds and waits for states, and only schedules are in virtual time:
`shoal_network.advance(3600)` lets an hour pass for every bot at once.

Names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.testing.network import BotUser, LoopbackNetwork, Stranger
    from shoal.testing.transcript import Transcript
    from shoal.testing.users import Talk, User

__all__ = ["BotUser", "LoopbackNetwork", "Stranger", "Talk", "Transcript", "User"]

_MODULES = {
    "network": ("BotUser", "LoopbackNetwork", "Stranger"),
    "transcript": ("Transcript",),
    "users": ("Talk", "User"),
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
