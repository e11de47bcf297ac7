"""What people of a lab start with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shoal.lab.errors import LabSlowError
from shoal.lab.people import Person, Place, until
from shoal.node import NodeConfig

if TYPE_CHECKING:
    from pathlib import Path

PLACE = Place(("127.0.0.1:4001", "127.0.0.1:4002"), 77, "http://127.0.0.1:8080", 1.0)


def test_their_nodes_stay_in_the_lab(tmp_path: Path) -> None:
    """Settings are in the home: a node that somebody starts there later is in no other network."""
    Person("Ann", tmp_path / "ann", PLACE)
    config = NodeConfig.load(tmp_path / "ann")

    assert config.dht.bootstrap == PLACE.bootstrap
    assert config.dht.network == 77
    assert config.dht.bind == ("127.0.0.1",)
    assert (config.net.turn, config.net.upnp, config.net.loopback) == ((), False, True)
    assert config.names.server == PLACE.name_server
    assert config.names.ask_own


async def test_what_takes_too_long() -> None:
    """A step that does not happen ends in words."""
    with pytest.raises(LabSlowError, match="not within 0 seconds: the flood"):
        await until(lambda: False, "the flood", 0)
