"""The README's bot, run as it stands there, answers people who use Jami, of both generations."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import shoal
from tests.peers.process import LoggedProcess
from tests.peers.town import GENERATIONS
from tests.peers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.peers.jami import JamiAccount
    from tests.peers.town import Town

PATIENCE: Final = 90.0  # seconds, on a busy machine
ROOT: Final = Path(__file__).parents[2]
BLOCK: Final = re.compile(r"^```python\n([^`]*?bot\.run\(\)\n)```", re.MULTILINE)
ADDRESS: Final = re.compile(r"is at jami:([0-9a-f]{40})")
CONFIG: Final = """
[dht]
bootstrap = ["{bootstrap}"]
[net]
turn = []
upnp = false
ipv6 = false
[names]
ask_own = false
"""


class ReadmeBot:
    """The bot in a process of its own, on a host of its own."""

    def __init__(self, town: Town) -> None:
        self._host = town.bench.add_host()
        self._home = town.home("echo-bot")
        bots_home = self._home / "bots" / "echo"
        bots_home.mkdir(parents=True)
        (bots_home / "config.toml").write_text(CONFIG.format(bootstrap=town.bootstrap))
        self.start()

    def start(self) -> None:
        """Run it, and wait for its address."""
        (text,) = BLOCK.findall((ROOT / "README.md").read_text())
        package = str(Path(shoal.__file__).parents[1])  # what is under test
        env = {**os.environ, "SHOAL_HOME": str(self._home), "PYTHONPATH": package}
        command = self._host.inside([sys.executable, "-c", text])
        self.process = LoggedProcess("README bot", command, env=env)
        self.uri = self.process.wait_for_line(ADDRESS, PATIENCE)[1]

    def stop(self) -> None:
        """Tell it to end, and see that it does so in order."""
        self.process.signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.process.tail()


@pytest.fixture(scope="module")
def bot(town: Town) -> Iterator[ReadmeBot]:
    """The bot, for all tests."""
    running = ReadmeBot(town)
    yield running
    running.process.stop()


@pytest.fixture(params=GENERATIONS)
def theirs(request: pytest.FixtureRequest, town: Town) -> JamiAccount:
    """The account of one generation of Jami."""
    return town.account(request.param)


def answers(theirs: JamiAccount, bot: ReadmeBot, text: str) -> list[Any]:
    """What a daemon has shown of messages of the bot that say *text*: one signal each."""
    for name in ("swarmMessageReceived", "messageReceived"):
        shown = [str(each.body) for each in theirs.daemon.announced(name)]
        found = [body for body in shown if text in body and bot.uri in body]
        if found:
            return found
    return []


def test_it_answers(bot: ReadmeBot, theirs: JamiAccount) -> None:
    """Somebody adds it and writes at once; it answers, once; also what was said meanwhile."""
    daemon, account = theirs.daemon, theirs.name
    daemon.add_contact(account, bot.uri)
    daemon.ask_for_trust(account, bot.uri)
    (conversation,) = until(lambda: daemon.conversations(account), "their conversation", PATIENCE)
    daemon.say(account, conversation, "hello from Jami")
    until(lambda: answers(theirs, bot, "hello from Jami"), "an answer", PATIENCE)

    bot.stop()
    daemon.say(account, conversation, "are you there?")
    bot.start()
    until(lambda: answers(theirs, bot, "are you there?"), "a late answer", PATIENCE)
    daemon.say(account, conversation, "and now?")
    until(lambda: answers(theirs, bot, "and now?"), "another answer", PATIENCE)
    for text in ("hello from Jami", "are you there?", "and now?"):
        assert len(answers(theirs, bot, text)) == 1, text
