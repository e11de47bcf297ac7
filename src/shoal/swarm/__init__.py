"""Conversations: git repositories that their members' devices keep equal, without a server.

`Conversation` is the heart: what is said becomes a signed commit, what peers send is judged commit
by commit, and histories that parted are merged. `SwarmEngine` has all conversations of an account.

Names are imported when they are first used. Errors are in `shoal.swarm.errors`, what the engine
asks for and tells in `shoal.swarm.effects`, what needs a disk in `shoal.swarm.driver`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.swarm import membership
    from shoal.swarm.book import INFOS_NAME, REQUESTS_NAME
    from shoal.swarm.commits import Commit
    from shoal.swarm.contents import (
        Call,
        Content,
        Edit,
        FileOffer,
        Initial,
        MemberAction,
        MemberEvent,
        Mode,
        ProfileUpdate,
        Text,
        Unknown,
        Vote,
    )
    from shoal.swarm.conversation import Conversation, Event, Self, Taken
    from shoal.swarm.engine import SwarmEngine
    from shoal.swarm.marks import (
        Marks,
        MessageStatus,
        least,
        statuses_of,
        unpack_all_marks,
        unpack_marks,
    )
    from shoal.swarm.preferences import (
        COLOUR,
        IGNORE_NOTIFICATIONS,
        Preferences,
        from_file_time,
        to_file_time,
        unpack_all_preferences,
        unpack_preferences,
    )
    from shoal.swarm.records import (
        RECORDS_SIZE_MAX,
        ConversationInfo,
        ConversationRequest,
        pack_infos,
        pack_requests,
        unpack_infos,
        unpack_requests,
    )
    from shoal.swarm.roles import Role
    from shoal.swarm.states import (
        PREFERENCES_FILE,
        STATES_FOLDER,
        STATUS_FILE,
        StoredState,
    )
    from shoal.swarm.store import GitStore, MemoryStore, ObjectKind
    from shoal.swarm.validation import Standing
    from shoal.swarm.vcards import (
        VCARD_SIZE_MAX,
        VCard,
        read_vcard,
        write_group,
        write_person,
    )
    from shoal.swarm.view import (
        read_card,
    )

__all__ = [
    "COLOUR",
    "IGNORE_NOTIFICATIONS",
    "INFOS_NAME",
    "PREFERENCES_FILE",
    "RECORDS_SIZE_MAX",
    "REQUESTS_NAME",
    "STATES_FOLDER",
    "STATUS_FILE",
    "VCARD_SIZE_MAX",
    "Call",
    "Commit",
    "Content",
    "Conversation",
    "ConversationInfo",
    "ConversationRequest",
    "Edit",
    "Event",
    "FileOffer",
    "GitStore",
    "Initial",
    "Marks",
    "MemberAction",
    "MemberEvent",
    "MemoryStore",
    "MessageStatus",
    "Mode",
    "ObjectKind",
    "Preferences",
    "ProfileUpdate",
    "Role",
    "Self",
    "Standing",
    "StoredState",
    "SwarmEngine",
    "Taken",
    "Text",
    "Unknown",
    "VCard",
    "Vote",
    "from_file_time",
    "least",
    "membership",
    "pack_infos",
    "pack_requests",
    "read_card",
    "read_vcard",
    "statuses_of",
    "to_file_time",
    "unpack_all_marks",
    "unpack_all_preferences",
    "unpack_infos",
    "unpack_marks",
    "unpack_preferences",
    "unpack_requests",
    "write_group",
    "write_person",
]

_MODULES = {
    "marks": ("Marks", "MessageStatus", "least", "statuses_of", "unpack_all_marks", "unpack_marks"),
    "preferences": (
        "COLOUR",
        "from_file_time",
        "to_file_time",
        "IGNORE_NOTIFICATIONS",
        "Preferences",
        "unpack_all_preferences",
        "unpack_preferences",
    ),
    "states": ("PREFERENCES_FILE", "STATES_FOLDER", "STATUS_FILE", "StoredState"),
    "vcards": ("VCARD_SIZE_MAX", "VCard", "read_vcard", "write_group", "write_person"),
    "view": ("read_card",),
    "book": ("INFOS_NAME", "REQUESTS_NAME"),
    "commits": ("Commit",),
    "contents": (
        *("Call", "Content", "Edit", "FileOffer", "Initial", "MemberAction", "MemberEvent"),
        *("Mode", "ProfileUpdate", "Text", "Unknown", "Vote"),
    ),
    "conversation": ("Conversation", "Event", "Self", "Taken"),
    "engine": ("SwarmEngine",),
    "records": (
        *("RECORDS_SIZE_MAX", "ConversationInfo", "ConversationRequest"),
        *("pack_infos", "pack_requests", "unpack_infos", "unpack_requests"),
    ),
    "roles": ("Role",),
    "store": ("GitStore", "MemoryStore", "ObjectKind"),
    "validation": ("Standing",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "membership":
        return import_module("shoal.swarm.membership")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
