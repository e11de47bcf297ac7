"""What people of a lab start with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shoal.lab.errors import ForeignHomeError, LabSlowError
from shoal.lab.people import Person, Place, until
from shoal.node import NodeConfig
from shoal.node.errors import HomeTakenError

if TYPE_CHECKING:
    from pathlib import Path

PLACE = Place(("127.0.0.1:4001", "127.0.0.1:4002"), 77, "http://127.0.0.1:8080", 1.0)


async def test_their_nodes_stay_in_the_lab(tmp_path: Path) -> None:
    """Settings are in the home: a node that somebody starts there later is in no other network."""
    ann = Person("Ann", tmp_path / "ann", PLACE)
    await ann.move_in()
    await ann.close()
    config = NodeConfig.load(tmp_path / "ann")

    assert config.dht.bootstrap == PLACE.bootstrap
    assert config.dht.network == 77
    assert config.dht.bind == ("127.0.0.1",)
    assert (config.net.turn, config.net.upnp, config.net.loopback) == ((), False, True)
    assert config.names.server == PLACE.name_server
    assert config.names.ask_own


async def test_who_lives_there_already(tmp_path: Path) -> None:
    """A home of another lab is changed only once it is ours; one of no lab never."""
    home = tmp_path / "ann"
    earlier = Person("Ann", home, PLACE)
    await earlier.move_in()
    before = (home / "config.toml").read_text()
    later = Person("Ann", home, replace(PLACE, network=78))
    with pytest.raises(HomeTakenError):
        await later.move_in()
    assert (home / "config.toml").read_text() == before
    await earlier.close()
    await later.move_in()
    await later.close()
    assert NodeConfig.load(home).dht.network == 78


@pytest.mark.parametrize("what", ["config.toml", "accounts/0123"])
async def test_who_is_of_no_lab(tmp_path: Path, what: str) -> None:
    """Settings that somebody wrote are kept, and somebody's accounts are not taken into a lab."""
    theirs = tmp_path / what
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("[dht]\nnetwork = 5\n")
    person = Person("Ann", tmp_path, PLACE)
    with pytest.raises(ForeignHomeError, match="no lab made"):
        await person.move_in()
    await person.close()
    assert theirs.read_text() == "[dht]\nnetwork = 5\n"
    assert not (tmp_path / "lock").exists()


async def test_what_takes_too_long() -> None:
    """A step that does not happen ends in words."""
    with pytest.raises(LabSlowError, match="not within 0 seconds: the flood"):
        await until(lambda: False, "the flood", 0)
