"""`shoal completion`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from shoal.cli import main
from shoal.cli.completion import SHELLS
from tests.unit.cli.conftest import shoal


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_its_script(shell: str) -> None:
    """Which calls us back."""
    script = shoal("completion", shell).out
    assert "_SHOAL_COMPLETE" in script
    (event,) = shoal("completion", shell, "--json").events
    assert event["script"] == script.rstrip("\n") or event["script"] in script


def test_commands_and_options_are_completed() -> None:
    """Of groups that are imported only when they are called, too."""
    complete = BashComplete(main, {}, "shoal", "_SHOAL_COMPLETE")
    found = {each.value for each in complete.get_completions(["conversation"], "in")}
    assert found == {"invite"}
    assert "chat" in {each.value for each in complete.get_completions([], "c")}
    assert "--json" in {each.value for each in complete.get_completions(["chat"], "--")}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_takes_it() -> None:
    """A real bash completes by our script."""
    script = shoal("completion", "bash").out
    program = (
        script
        + '\nCOMP_WORDS=(shoal conv); COMP_CWORD=1; _shoal_completion shoal; echo "${COMPREPLY[@]}"'
    )
    folder = Path(sys.executable).parent
    done = subprocess.run(  # noqa: S603 - our own script
        ["bash", "-c", program],  # noqa: S607 - whichever bash there is
        capture_output=True, text=True, check=True, env={"PATH": f"{folder}:/usr/bin:/bin"},
    )  # fmt: skip
    assert "conversation" in done.stdout
