"""Names of people, for those who read them: of contacts, of members, and of conversations.

A person is shown by what is known here, the best first: the name of their profile, the name that
they registered, the first digits of their id. Names that people give themselves prove nothing;
what is written to somebody goes by their id.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.names.errors import NameNotFoundError, NamesError
from shoal.node.driver.tasks import TaskSet
from shoal.node.errors import NodeError
from shoal.swarm import read_vcard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.core import AccountId
    from shoal.node.driver.account import Account
    from shoal.node.driver.conversations import Conversation

_log = logging.getLogger(__name__)

SHORT: Final = 8  # digits of an id that stand for a person who has no name; ours
KNOWN_MAX: Final = 4_096  # people whose registered names are remembered; ours
ASKED_AT_ONCE: Final = 4  # questions to name servers; ours
TITLE_NAMES_MAX: Final = 4  # members that the title of a group names; ours
NAME_MAX: Final = 64  # characters of a name that are shown; ours


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, as people are shown them.

    Attributes:
        id: the account.
        name: what their profile calls them, or "".
        registered_name: what they registered, as far as is known here, or "".
        is_self: this is us.
        is_contact: it is a contact.
    """

    id: AccountId
    name: str
    registered_name: str
    is_self: bool
    is_contact: bool

    @property
    def shown(self) -> str:
        """What to call them."""
        return self.name or self.registered_name or self.id.hex()[:SHORT]


class People:
    """Everybody that an account has met. `account.people` is one."""

    def __init__(self, account: Account) -> None:
        """Look at *account*; its name server is asked for names that are missing, if it may be."""
        self._account = account
        self._registered: OrderedDict[AccountId, str] = OrderedDict()
        self._waiting: set[AccountId] = set()
        self._limit = asyncio.Semaphore(ASKED_AT_ONCE)
        self._tasks = TaskSet()

    async def close(self) -> None:
        """Ask nobody any more."""
        await self._tasks.close()

    def __getitem__(self, account: AccountId) -> Person:
        """Return what is known of somebody; what is not may be known later."""
        own = self._account
        is_self = account == own.id
        registered = own.names.own if is_self else self._registered_name(account)
        return Person(
            account,
            clean(own.name if is_self else self._profile_name(account)),
            registered,
            is_self,
            account in own.contacts,
        )

    def met(self) -> Iterator[Person]:
        """Iterate over ourselves, contacts, who asks to be one, and members of conversations."""
        own = self._account
        found: dict[AccountId, None] = {own.id: None}
        found.update((each.id, None) for each in own.contacts.list())
        found.update((each.id, None) for each in own.contacts.requests())
        found.update((each.sender, None) for each in own.conversations.requests())
        for conversation in own.conversations.list():
            found.update((member, None) for member in conversation.members)
        return (self[each] for each in found)

    def called(self, name: str) -> list[Person]:
        """Return everybody who is called so, by profile or registered name; not ourselves."""
        wanted = name.strip().casefold()
        return [
            person
            for person in self.met()
            if wanted
            and not person.is_self
            and wanted in (person.name.casefold(), person.registered_name.casefold())
        ]

    def title(self, conversation: Conversation) -> str:
        """Return what to call a conversation: by its profile, or by those who are in it."""
        if given := clean(conversation.title):
            return given
        others = [
            self[member] for member, role in conversation.members.items()
            if role.may_fetch and member != self._account.id
        ]  # fmt: skip
        if not others:
            contacts = self._account.contacts.list()
            wanted = str(conversation.id)
            others = [self[each.id] for each in contacts if each.conversation_id == wanted]
        names = sorted(person.shown for person in others)
        if len(names) > TITLE_NAMES_MAX:
            names[TITLE_NAMES_MAX:] = [f"{len(names) - TITLE_NAMES_MAX} more"]
        return ", ".join(names) or "only you"

    # Inside

    def _profile_name(self, account: AccountId) -> str:
        """Return the name that somebody gave themselves."""
        if known := self._account.profiles[account].name:
            return known
        request = next((r for r in self._account.contacts.requests() if r.id == account), None)
        return "" if request is None else vcard_name(request.payload)

    def _registered_name(self, account: AccountId) -> str:
        known = self._registered.get(account)
        if known is not None:
            self._registered.move_to_end(account)
            return known
        may_ask = self._account.names.is_asking
        if may_ask and account not in self._waiting and len(self._waiting) < KNOWN_MAX:
            self._waiting.add(account)
            self._tasks.start(self._ask(account))
        return ""

    async def _ask(self, account: AccountId) -> None:
        """Ask for a registered name once; an answer is remembered as long as we run."""
        try:
            async with self._limit:
                name = (await self._account.names.reverse(account)).name
        except NameNotFoundError:
            name = ""
        except (NamesError, NodeError) as error:
            _log.debug("x name of %s: %s", account.hex()[:SHORT], error)
            return  # not asked again until the next start: `account` stays in `_waiting`
        self._registered[account] = name
        self._waiting.discard(account)
        if len(self._registered) > KNOWN_MAX:
            self._registered.popitem(last=False)


def clean(name: str) -> str:
    """Return a name as a line of text: what others wrote must not spoil a screen."""
    line = " ".join(name.split())
    return "".join(c for c in line if c.isprintable())[:NAME_MAX]


def vcard_name(payload: bytes) -> str:
    """Return the name in a vCard, or "" if there is none."""
    try:
        return clean(read_vcard(payload).name)
    except DecodeError:
        return ""
