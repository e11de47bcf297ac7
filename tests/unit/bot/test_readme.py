"""The README's bot, run as it stands there: a process of its own, and somebody who writes to it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId

if TYPE_CHECKING:
    from shoal.testing import LoopbackNetwork

README: Final = Path(__file__).parents[3] / "README.md"
BLOCK: Final = re.compile(r"^```python\n([^`]*?bot\.run\(\)\n)```", re.MULTILINE)


def readme_bot() -> str:
    """Return the bot that the README shows."""
    (block,) = BLOCK.findall(README.read_text())
    return str(block)


def test_it_is_ten_lines() -> None:
    """As the README says of bots."""
    assert len(readme_bot().strip().splitlines()) == 10


def test_it_answers(shoal_network: LoopbackNetwork, tmp_path: Path) -> None:
    """It makes its account, tells its address, answers whoever asks, and stops when told."""
    home = tmp_path / "shoal"
    shoal_network.prepare_home(home / "bots" / "echo")
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", readme_bot()],
        env={**os.environ, "SHOAL_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "jami:" in line)
        address = line.strip().rpartition("jami:")[2]
        alice = shoal_network.user("Alice")
        talk = alice.meet(shoal_network.stranger("Echo", AccountId.from_hex(address)))
        talk.say("hello from the README")
        talk.expect("hello from the README")
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
