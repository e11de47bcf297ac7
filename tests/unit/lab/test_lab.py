"""A lab: everybody is there, knows everybody, and talks; what cannot be one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shoal.lab import Lab, LabConfig
from shoal.lab.errors import PeopleError
from shoal.swarm import Text

if TYPE_CHECKING:
    from pathlib import Path


async def test_everybody_talks(tmp_path: Path) -> None:
    """People are contacts with registered names; the bot answers; the first message is timed."""
    people = ("Ann", "Ben", "Cat")
    async with Lab(LabConfig(people=people, folder=tmp_path / "lab", has_pages=False)) as lab:
        ann, ben, cat = lab.people
        assert lab.bot is not None
        assert len(lab.bootstrap) == 2
        assert 0 < lab.message_seconds < lab.seconds
        assert [each.registered for each in lab.everybody] == ["ann", "ben", "cat", "echo"]
        found = await cat.account.names.lookup("ben")
        assert found.account == ben.account.id
        for person in lab.people:
            others = {each.account.id for each in lab.everybody if each is not person}
            assert {each.id for each in person.account.contacts.list()} == others

        talk = await cat.joined(lab.bot)
        said = await talk.send("is anybody there?")
        seen: list[object] = []
        while Text("is anybody there?", reply_to=said.id) not in seen:
            seen = [each.content for each in await talk.messages()]
        assert ann.link() == ""
    homes = {each.name for each in (tmp_path / "lab").iterdir() if each.is_dir()}
    assert homes == {"ann", "ben", "cat", "echo", "names"}


async def test_the_same_people_again(tmp_path: Path) -> None:
    """A lab whose homes were kept opens with the same accounts and conversations."""
    config = LabConfig(people=("Ann", "Ben"), folder=tmp_path, has_pages=False, has_bot=False)
    async with Lab(config) as lab:
        before = [each.account.id for each in lab.people]
    async with Lab(config) as lab:
        assert [each.account.id for each in lab.people] == before
        talk = await lab.people[0].joined(lab.people[1])
        texts = [each.content for each in await talk.messages() if isinstance(each.content, Text)]
        assert len(texts) == 2  # a first message of each time


async def test_pages(tmp_path: Path) -> None:
    """Everybody has a page of their own, and a link to it; without names and bot, too."""
    pytest.importorskip("h11")
    config = LabConfig(people=("Ann",), folder=tmp_path, has_names=False, has_bot=False)
    async with Lab(config) as lab:
        (ann,) = lab.people
        assert ann.page is not None
        assert ann.link().startswith(f"{ann.page.url}/#link=")
        assert ann.registered == ""
        assert lab.message_seconds == 0.0


@pytest.mark.parametrize(
    ("people", "why"),
    [
        ((), "1 to 12"),
        (tuple(f"person{number}" for number in range(13)), "1 to 12"),
        (("Ann", "ann"), "two are called"),
        (("Ann", "echo"), "two are called"),
        (("Al",), "cannot be registered"),
        (("Ann Lee",), "cannot be registered"),
    ],
)
def test_who_cannot_be_in_a_lab(people: tuple[str, ...], why: str) -> None:
    """Names that could not be registered are refused before anything is opened."""
    with pytest.raises(PeopleError, match=why):
        Lab(LabConfig(people=people))
