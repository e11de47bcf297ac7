"""Clocks that run faster for all peers of a test, so that a day passes in half an hour.

`SHOAL_SOAK_SPEED` says how many times as fast. The test's own clock is left alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEED: Final = int(os.environ.get("SHOAL_SOAK_SPEED", "1"))
SOURCE: Final = Path(__file__).with_name("fast_clock.c")


def build(folder: Path) -> Path:
    """Compile what is to be preloaded."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.fail(
            "SHOAL_SOAK_SPEED needs a C compiler: install Debian's package gcc", pytrace=False
        )
    library = folder / "fast_clock.so"
    command = [compiler, "-O2", "-Wall", "-Wextra", "-shared", "-fPIC"]
    command += ["-o", str(library), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode != 0:
        pytest.fail(f"{SOURCE.name} does not compile here:\n{done.stderr}", pytrace=False)
    return library


@pytest.fixture(scope="module", autouse=SPEED != 1)
def fast_clocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every process that is started while this holds has a fast clock, all the same one."""
    library = build(tmp_path_factory.mktemp("clock"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LD_PRELOAD", str(library))
        environment.setenv("SHOAL_CLOCK_SPEED", str(SPEED))
        environment.setenv("SHOAL_CLOCK_BASE", str(time.monotonic_ns()))
        yield
