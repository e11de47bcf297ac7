"""What is on disk of conversations beside their histories; see `shoal.swarm.states`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

from shoal.core import ConversationId, DecodeError
from shoal.identity.driver.files import read_file, sweep
from shoal.identity.errors import AccountFileError
from shoal.swarm import (
    PREFERENCES_FILE,
    STATES_FOLDER,
    STATUS_FILE,
    Preferences,
    StoredState,
    unpack_marks,
    unpack_preferences,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    T = TypeVar("T")

_log = logging.getLogger(__name__)

FILE_SIZE_MAX: Final = 16_777_216  # bytes; ours


def read_states(account: Path) -> dict[ConversationId, StoredState]:
    """Return the states of all conversations of an account's folder.

    A file that is damaged counts as missing: what it said is learnt again, or set again.
    """
    found: dict[ConversationId, StoredState] = {}
    for folder in sorted((account / STATES_FOLDER).glob("*/")):
        try:
            identifier = ConversationId.from_hex(folder.name)
        except DecodeError:
            continue  # not ours
        sweep(folder)
        state = StoredState(
            _read(folder / STATUS_FILE, unpack_marks) or {},
            _read(folder / PREFERENCES_FILE, unpack_preferences) or Preferences(),
        )
        if state != StoredState():
            found[identifier] = state
    return found


def _read(path: Path, unpack: Callable[[bytes], T]) -> T | None:
    try:
        data = read_file(path, FILE_SIZE_MAX)
        return None if data is None else unpack(data)
    except (AccountFileError, DecodeError) as error:
        _log.warning("! %s counts as missing: %s", path.name, error)
        return None
