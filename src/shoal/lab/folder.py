"""Where a lab lives: a folder that goes when the lab does, also if that was killed."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX: Final = "shoal-lab-"
LOCK: Final = "lock"
NEW_LOCK: Final = "lock.new"


@contextmanager
def lab_folder(kept: Path | None = None) -> Iterator[Path]:
    """Give a folder; unless it is to be *kept*, it is deleted at the end.

    Those of labs that were killed are deleted at the beginning: nobody holds their lock.
    """
    if kept is not None:
        kept = kept.expanduser().absolute()
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield kept
        return
    sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / NEW_LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / NEW_LOCK).rename(folder / LOCK)  # whoever finds it finds it held
            yield folder


def sweep(place: Path) -> None:
    """Delete the folders of labs that are no more."""
    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), (folder / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
