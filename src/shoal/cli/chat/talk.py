"""One conversation, as its reader has it: loaded, followed, answered. Screens show it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.cli.chat.orders import OrderError
from shoal.cli.chat.transcript import Transcript
from shoal.cli.home import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from shoal.cli.chat.orders import Order
    from shoal.cli.chat.transcript import Entry
    from shoal.node.driver.api.client import ApiClient

PAGE: Final = 50  # messages that are loaded at a time; ours
TYPING_TIME: Final = 12.0  # seconds that a notice of typing counts; Jami's clients: 12
TYPING_AGAIN: Final = 6.0  # seconds until the others are told again that we type; ours
SETTLE_TIME: Final = 5.0  # seconds that an event may take to come back to us; ours
LOOK: Final = 0.05  # seconds between two looks for it; ours
SHORT: Final = 8  # digits of an id that stand for a person


class Talk:
    """A conversation that is being read and written.

    Attributes:
        transcript: its messages.
        info: what the API says about it: title, members, mode.
        me: our account, 40 hex digits.
        typing: who types, and until when that counts, by a monotonic clock.
        last_said: the id of what we said last here, or "".
    """

    def __init__(self, api: ApiClient, account: str, conversation: str) -> None:
        """Read *conversation*, an id or a name, of *account*."""
        self._api = api
        self.me = account
        self._wanted = conversation
        self.transcript = Transcript()
        self.info: Mapping[str, Any] = {}
        self.typing: dict[str, float] = {}
        self._names: dict[str, str] = {}
        self._displayed: dict[str, str] = {}  # who: the message up to which they have read
        self._fetched: dict[str, str] = {}
        self._told_displayed = ""
        self._told_typing = 0.0
        self.last_said = ""
        self._obeying = asyncio.Lock()  # orders one after the other, as they were typed
        self._orders: dict[str, Callable[[Order], Awaitable[list[str]]]] = {
            "say": self._say,
            "reply": self._reply,
            "edit": self._edit,
            "delete": self._delete,
            "react": self._react,
            "unreact": self._unreact,
            "send": self._send_file,
            "get": self._get_file,
            "invite": self._invite,
            "who": self._who,
        }

    # Reading

    @property
    def id(self) -> str:
        """The conversation's id, 40 hex digits."""
        return str(self.info["id"])

    @property
    def title(self) -> str:
        """What to call it."""
        return printable(self.info["title"])

    async def open(self) -> None:
        """Find the conversation, and learn who is in it.

        Raises:
            ShoalError: there is none like this, or several.
        """
        self.info = await self._call("conversation.show", conversation=self._wanted)
        await self.learn_names()

    async def load(self) -> list[Entry]:
        """Load the latest page of history, or the one before what is there."""
        before = self.transcript.oldest
        if self.transcript.is_full:
            raise OrderError("older messages: shoal conversation log --before")
        page = await self._call(
            "conversation.messages", conversation=self.id, count=PAGE, before=before
        )
        entries = self.transcript.add_page(page)
        await self._learn_unknown(entries)
        return entries

    async def follow(self) -> AsyncIterator[Entry | str]:
        """Yield what to show anew: a message, or in a word what else changed.

        Words are `typing`, `members`, `receipts`, `presence`, `anew` - all is to be shown anew -
        and `gone`. The first is `anew`: history is loaded when nothing can be missed any more.
        """
        stream = self._api.stream("conversation.events", account=self.me)
        async with contextlib.aclosing(stream) as events:
            async for kind, event in events:
                if kind != "item":
                    return
                if event["event"] in ("subscribed", "lagged"):
                    await self._reload()
                    change: Entry | str | None = "anew"
                else:
                    change = await self._heard(event)
                if change is not None:
                    yield change
                if change == "gone":
                    return

    def name(self, account: str) -> str:
        """Return what to call somebody."""
        return "you" if account == self.me else self._names.get(account) or account[:SHORT]

    def typists(self, now: float) -> list[str]:
        """Return who types now."""
        self.typing = {who: until for who, until in self.typing.items() if until > now}
        return sorted(self.name(who) for who in self.typing)

    def receipts(self, entry: Entry) -> tuple[list[str], list[str]]:
        """Return who has read a message, and who has received but not read it."""
        read = [who for who, upto in self._displayed.items() if self._covers(upto, entry)]
        received = [who for who, upto in self._fetched.items() if self._covers(upto, entry)]
        read += [each.author for each in self.transcript.entries if each.order >= entry.order]
        others = {str(member["id"]) for member in self.info["members"]} - {self.me}
        read = list(dict.fromkeys(read))
        return (
            sorted(self.name(who) for who in read if who in others),
            sorted(self.name(who) for who in received if who in others and who not in read),
        )

    def online(self) -> int | None:
        """Return how many of the others are online, as far as is known."""
        presences = [member.get("presence") for member in self.info["members"]]
        known = [each for each in presences if each]
        return sum(each in ("announced", "connected") for each in known) if known else None

    async def learn_names(self) -> None:
        """Ask what to call everybody."""
        people = await self._call("person.list", conversation=self.id)
        self._names |= {str(each["id"]): printable(each["shown"]) for each in people}

    # Writing

    async def obey(self, order: Order) -> list[str]:
        """Do what was typed; return what to tell the writer.

        Raises:
            OrderError: it cannot be done, and why.
            ShoalError: the node refused.
        """
        async with self._obeying:
            return await self._orders[order.verb](order)

    async def seen(self) -> None:
        """Tell the others, and remember, that all that is loaded was seen."""
        entries = self.transcript.entries
        if not entries or entries[-1].id == self._told_displayed:
            return
        self._told_displayed = entries[-1].id
        await self._call("conversation.set_displayed", conversation=self.id, message=entries[-1].id)

    async def compose(self, now: float, *, is_active: bool) -> None:
        """Tell the others that we type, or have stopped; not at every key."""
        if is_active and now - self._told_typing < TYPING_AGAIN:
            return
        if not is_active and not self._told_typing:
            return
        self._told_typing = now if is_active else 0.0
        await self._call("conversation.set_composing", conversation=self.id, is_active=is_active)

    # Orders

    async def _say(self, order: Order) -> list[str]:
        if order.rest.strip():
            await self._send(order.rest)
        return []

    async def _reply(self, order: Order) -> list[str]:
        to = await self._meant(order, not_by=self.me)
        await self._send(order.rest, reply_to=to.id)
        return []

    async def _edit(self, order: Order) -> list[str]:
        await self._about(
            "conversation.edit", await self._meant(order, by=self.me), text=order.rest
        )
        return []

    async def _delete(self, order: Order) -> list[str]:
        await self._about("conversation.delete", await self._meant(order, by=self.me))
        return []

    async def _react(self, order: Order) -> list[str]:
        to = await self._meant(order, not_by=self.me)
        reaction = await self._about("conversation.react", to, emoji=order.rest)
        self.last_said = str(reaction["id"])
        return []

    async def _unreact(self, order: Order) -> list[str]:
        if order.label:
            to = await self._meant(order)
        else:
            await self._settled()
            found = self.transcript.latest_reacted(order.rest, self.me)
            if found is None:
                raise OrderError(f"no message to which you reacted with {order.rest} is loaded")
            to = found
        await self._about("conversation.unreact", to, emoji=order.rest)
        return []

    async def _send_file(self, order: Order) -> list[str]:
        path = Path(order.rest).expanduser().absolute()  # noqa: ASYNC240 - it only joins names
        await self._call("file.send", to=self.id, path=str(path))
        return []

    async def _get_file(self, order: Order) -> list[str]:
        if order.label:
            offers = [await self._meant(order)]
        else:
            offers = [each for each in self.transcript.entries if each.file is not None][-1:]
        if not offers or offers[0].file is None:
            raise OrderError("no file was offered there")
        await self._about("file.get", offers[0], wait=False)
        return []

    async def _invite(self, order: Order) -> list[str]:
        self.info = await self._call(
            "conversation.invite", conversation=self.id, contact=order.rest
        )
        await self.learn_names()
        return [f"invited {order.rest}"]

    async def _who(self, order: Order) -> list[str]:
        self.info = await self._call("conversation.show", conversation=self.id)
        await self.learn_names()
        last = self.transcript.entries[-1] if self.transcript.entries else None
        read = self.receipts(last)[0] if last is not None else []
        lines = []
        for member in self.info["members"]:
            name = self.name(str(member["id"]))
            marks = [str(member["role"])]
            if member.get("presence") and name != "you":
                marks.append(str(member["presence"]))
            if name in read:
                marks.append("has read all")
            lines.append(f"{name}  {', '.join(marks)}  {str(member['id'])[:SHORT]}")
        return lines

    # Inside

    async def _call(self, method: str, **params: Any) -> Any:
        return await self._api.call(method, account=self.me, **params)

    async def _send(self, text: str, **params: str) -> None:
        sent = await self._call("conversation.send", to=self.id, text=text, **params)
        self._told_typing = 0.0
        self.last_said = str(sent["id"])

    async def _settled(self) -> None:
        """Wait until what we said last is in the transcript, so that it can be meant."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_TIME):
                # It comes by an event or with a page: there is nothing else to wait for.
                # The transcript is written by another task, and has no event for it.
                while self.last_said and not self.transcript.has(self.last_said):  # noqa: ASYNC110
                    await asyncio.sleep(LOOK)

    async def _about(self, method: str, entry: Entry, **params: Any) -> Any:
        return await self._call(method, conversation=self.id, message=entry.id, **params)

    async def _meant(self, order: Order, *, by: str = "", not_by: str = "") -> Entry:
        """Return the message that an order is about.

        Raises:
            OrderError: none is, or several are.
        """
        await self._settled()
        found = self.transcript.find(order.label, by=by, not_by=not_by)
        if len(found) > 1:
            raise OrderError(f"{order.label} stands beside several messages: give more digits")
        if not found:
            which = order.label or ("of yours" if by else "of others")
            raise OrderError(f"no message {which} is loaded; /older loads more")
        if by and found[0].author != by:
            raise OrderError("only your own messages can be edited or deleted")
        return found[0]

    async def _reload(self) -> None:
        """Load the latest page anew, and who is where."""
        self.info = await self._call("conversation.show", conversation=self.id)
        self.transcript = Transcript()
        await self.load()
        for member in self.info["members"]:
            who = str(member["id"])
            for field, marks in (("displayed", self._displayed), ("fetched", self._fetched)):
                if member.get(field):
                    marks[who] = str(member[field])

    async def _heard(self, event: Mapping[str, Any]) -> Entry | str | None:
        """Take an event; return what to show anew."""
        match event["event"]:
            case "presence_changed":
                return self._set_presence(str(event["peer"]), str(event["presence"]))
            case "transfer_changed":
                return self._set_transfer(event["transfer"])
            case _ if event.get("conversation") == self.id:
                return await self._heard_here(event)
            case _:
                return None

    async def _heard_here(self, event: Mapping[str, Any]) -> Entry | str | None:
        """Take an event of this conversation."""
        change: Entry | str | None = None
        match event["event"]:
            case "message_taken" | "message_edited" | "message_reacted" | "message_unreacted":
                self.typing.pop(str(event["message"]["author"]), None)
                change = self.transcript.take(event["message"])
                await self._learn_unknown([] if change is None else [change])
            case "composing":
                change = self._set_typing(str(event["account"]), is_active=bool(event["is_active"]))
            case "members_changed":
                self.info = await self._call("conversation.show", conversation=self.id)
                await self.learn_names()
                change = "members"
            case "status_changed":
                change = self._set_status(event)
            case "conversation_gone":
                change = "gone"
            case _:
                pass
        return change

    def _set_typing(self, who: str, *, is_active: bool) -> str | None:
        if who == self.me:
            return None
        self.typing.pop(who, None)
        if is_active:
            self.typing[who] = time.monotonic() + TYPING_TIME
        return "typing"

    def _set_status(self, event: Mapping[str, Any]) -> str:
        who = str(event["account"])
        for field, marks in (("displayed", self._displayed), ("fetched", self._fetched)):
            if event.get(field):
                marks[who] = str(event[field])
        return "receipts"

    def _set_presence(self, who: str, presence: str) -> str | None:
        for member in self.info["members"]:
            if member["id"] == who:
                member["presence"] = presence
                return "presence"
        return None

    def _set_transfer(self, transfer: Mapping[str, Any]) -> Entry | None:
        entry = self.transcript.get(str(transfer["id"]))
        if entry is None or entry.file is None:
            return None
        entry.file.done = int(transfer["done"])
        is_down = transfer["direction"] == "down"
        state = str(transfer["state"])
        entry.file.state = "fetched from us" if state == "done" and not is_down else state
        entry.file.path = printable(transfer["path"] or "") if is_down else ""
        entry.file.rate = float(transfer["rate"] or 0.0)
        return entry

    async def _learn_unknown(self, entries: list[Entry]) -> None:
        if any(each.author not in self._names and each.author != self.me for each in entries):
            await self.learn_names()

    def _covers(self, upto: str, entry: Entry) -> bool:
        """Whether a member who came as far as *upto* has *entry*; unloaded means older."""
        mark = self.transcript.get(upto)
        return mark is not None and mark.order >= entry.order
