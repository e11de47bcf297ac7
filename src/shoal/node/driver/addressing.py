"""Which conversation is meant: by its id, by first digits of it, by a title, or by a person."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, CommitId, ConversationId, DecodeError
from shoal.names.errors import NameNotFoundError, NameServerUnavailableError
from shoal.node.driver.ids import bare
from shoal.node.errors import AmbiguousNameError, NodeError
from shoal.swarm.errors import NoSuchConversationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.node.driver.account import Account
    from shoal.node.driver.conversations import Conversation

SHORTEST_PREFIX: Final = 4  # digits; ours, as for accounts
SHORTEST_MESSAGE: Final = 6  # digits of a message's id; ours
RECENT: Final = 1_000  # messages among which first digits are looked for; ours


async def find_conversation(account: Account, text: str) -> Conversation:
    """Return the conversation that *text* means.

    That is an id of a conversation or of a contact, or four or more of its first digits; else the
    title of a conversation or a name of a contact, own or registered: whoever calls a group like
    one of our contacts makes that ambiguous, and gets nothing. Only a name that nobody here has is
    asked for at the name server.

    Raises:
        NoSuchConversationError: it means none.
        AmbiguousNameError: it means several.
        NamesError: the name server gave no answer that holds.
    """
    wanted = bare(text.strip().removeprefix("swarm:"))
    for found in (_by_digits(account, wanted), _by_name(account, wanted)):
        ids = dict.fromkeys(found)
        if len(ids) > 1:
            raise AmbiguousNameError(
                f"{text[:80]!r} may be {', '.join(str(each)[:12] for each in ids)}",
                tuple(str(each) for each in ids),
            )
        if ids:
            return account.conversations[next(iter(ids))]
    return await _by_registered_name(account, text, wanted)


def find_request(account: Account, text: str) -> ConversationId:
    """Return the invitation that *text* means: an id, first digits, a title, who sent it.

    Raises:
        NoSuchConversationError: it means none.
        AmbiguousNameError: it means several.
    """
    wanted = text.strip().removeprefix("swarm:")
    requests = account.conversations.requests()
    called = {person.id for person in account.people.called(wanted)}
    digits = _digits(wanted)
    found = [
        each.conversation
        for each in requests
        if (digits and str(each.conversation).startswith(digits))
        or (wanted and each.title.casefold() == wanted.casefold())
        or each.sender in called
        or (digits and each.sender.hex().startswith(digits))
    ]
    if len(found) > 1:
        listed = ", ".join(str(each)[:12] for each in found)
        raise AmbiguousNameError(f"{text[:80]!r} may be {listed}", tuple(map(str, found)))
    if not found:
        raise NoSuchConversationError(f"no invitation to {text[:80]!r}")
    return found[0]


async def find_message(conversation: Conversation, text: str) -> CommitId:
    """Return the message that *text* is the id of, or six or more of its first digits.

    Raises:
        NoSuchConversationError: we are not in it any more, or there is none among the latest
            thousand.
    """
    digits = text.strip().lower()
    try:
        return CommitId.from_hex(digits)
    except DecodeError:
        pass
    if len(digits) < SHORTEST_MESSAGE:
        raise NoSuchConversationError(
            f"{text[:80]!r}: at least {SHORTEST_MESSAGE} digits of its id"
        )
    for message in reversed(await conversation.messages(RECENT)):
        if str(message.id).startswith(digits):
            return message.id
    raise NoSuchConversationError(f"no message {text[:80]!r} among the latest {RECENT}")


def _by_digits(account: Account, wanted: str) -> Iterable[ConversationId]:
    digits = _digits(wanted)
    if not digits:
        return []
    ids = [each.id for each in account.conversations.list()]
    found = [each for each in ids if str(each).startswith(digits)]
    if found:
        return found
    contacts = [each for each in account.contacts.list() if each.id.hex().startswith(digits)]
    return _of_contacts(account, (each.id for each in contacts))


def _by_name(account: Account, wanted: str) -> Iterable[ConversationId]:
    title = wanted.casefold()
    people = account.people
    titled = [
        each.id for each in account.conversations.list() if people.title(each).casefold() == title
    ]
    return [*titled, *_of_contacts(account, (each.id for each in people.called(wanted)))]


def _of_contacts(account: Account, people: Iterable[AccountId]) -> list[ConversationId]:
    """Return the conversations of two with these contacts."""
    found = []
    for each in people:
        contact = account.contacts.get(each)
        if contact is not None and contact.conversation_id:
            found.append(ConversationId.from_hex(contact.conversation_id))
    return [each for each in found if each in account.talking.engine.book.infos]


async def _by_registered_name(account: Account, text: str, wanted: str) -> Conversation:
    try:
        who = await account.names.find_account(wanted)
    except (NameServerUnavailableError, NameNotFoundError, NodeError) as error:
        raise NoSuchConversationError(
            f"{text[:80]!r} is no conversation and no contact here, and {error}"
        ) from error
    found = _of_contacts(account, [who])
    if not found:
        raise NoSuchConversationError(f"{text[:80]!r}: neither a conversation nor a contact")
    return account.conversations[found[0]]


def _digits(wanted: str) -> str:
    """Return *wanted* in lower case if it can be the first digits of an id."""
    is_digits = len(wanted) >= SHORTEST_PREFIX and all(c in string.hexdigits for c in wanted)
    return wanted.lower() if is_digits else ""
