"""What a lab consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE: Final = ("Alice", "Bob")
PEOPLE_MAX: Final = 12  # ours: each is a node; all are contacts of each other
BOOTSTRAP_NODES: Final = 2
KEY_BITS: Final = 2048  # the least that others accept: people of a lab live for an hour
PATIENCE: Final = 120.0  # seconds for one step, ours; loopback takes milliseconds


@dataclass(frozen=True, slots=True)
class LabConfig:
    """What a lab consists of.

    Attributes:
        people: their names; in small letters they are registered at the name server.
        folder: where homes are, and stay; None makes a folder that goes with the lab.
        has_pages: each person has a page to talk in, where the packages for it are installed.
        has_names: there is a name server, where the packages for it are installed.
        has_bot: there is an echo bot.
        patience: seconds that one step may take.
    """

    people: tuple[str, ...] = PEOPLE
    folder: Path | None = None
    has_pages: bool = True
    has_names: bool = True
    has_bot: bool = True
    patience: float = PATIENCE
