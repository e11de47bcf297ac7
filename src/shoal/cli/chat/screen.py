"""The chat on the whole screen: history above, one line to write in below.

Built with textual. The screen shows what a `Talk` holds and hands it what is typed; it decides
nothing about conversations.
"""

from __future__ import annotations

import contextlib
import time
import zlib
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.text import Text
from textual.app import App
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from shoal.cli.chat.orders import Order, OrderError, help_lines, read_order
from shoal.cli.chat.talk import Talk
from shoal.cli.chat.text import SPOKEN, body, clock, quote, reactions, receipt
from shoal.cli.common import explain
from shoal.cli.home import printable
from shoal.core.errors import ShoalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from shoal.cli.chat.transcript import Entry
    from shoal.node.driver.api.client import ApiClient

COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue", "red")  # of names
TICK: Final = 1.0  # seconds between two looks at who has stopped typing; ours
THEMES: Final = {None: "ansi-dark", "dark": "textual-dark", "light": "textual-light"}


class MessageView(Static):
    """One message."""

    def __init__(self, talk: Talk, entry: Entry) -> None:
        super().__init__()
        self._talk = talk
        self.entry = entry

    def on_mount(self) -> None:
        """Show it."""
        self.show()

    def show(self, *, is_last_own: bool = False) -> None:
        """Show it as it is now."""
        self.update(self._text(is_last_own=is_last_own))

    def _text(self, *, is_last_own: bool) -> Text:
        talk, entry = self._talk, self.entry
        name, moment = talk.name(entry.author), clock(entry.wall_time, time.time())
        mark = "" if entry.is_verified else "  unverified"
        if entry.kind not in SPOKEN:
            return Text(f"  {moment} {name} {body(talk, entry)}{mark}", style="dim italic")
        colour = COLOURS[zlib.crc32(entry.author.encode()) % len(COLOURS)]
        style = "bold" if entry.author == talk.me else f"bold {colour}"
        text = Text.assemble((name, style), (f"  {moment}  #{entry.label}{mark}", "dim"))
        if entry.reply_to:
            text.append(f"\n  {quote(talk, entry)}", "dim")
        for line in body(talk, entry).splitlines() or [""]:
            text.append(f"\n  {line}", "dim italic" if entry.is_deleted else "")
        if entry.reactions:
            text.append(f"\n  {reactions(talk, entry)}")
        if is_last_own:
            text.append(f"\n  {receipt(talk, entry)}", "dim")
        return text


class History(VerticalScroll, can_focus=False):
    """The messages; it asks for older ones when its top is reached."""

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Load older messages when somebody scrolls to the top."""
        super().watch_scroll_y(old, new)
        if new <= 0 < old and isinstance(self.app, ChatApp):
            self.app.load_older()

    @property
    def is_at_end(self) -> bool:
        """Whether the latest message is in sight."""
        return self.scroll_y >= self.max_scroll_y - 1


class Picker(ModalScreen[str | None]):
    """Choose a conversation: by arrow keys, by its first letters, or by the mouse."""

    AUTO_FOCUS = "#picker"
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "Back")]

    def __init__(self, conversations: Sequence[Any]) -> None:
        super().__init__()
        self._conversations = conversations

    def compose(self) -> ComposeResult:
        """A line per conversation."""
        yield Static("Talk with whom? Arrow keys and Enter; Escape leaves.", id="title")
        options = [Option(_picked(each), id=each["id"]) for each in self._conversations]
        yield OptionList(*options, id="picker", markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the one that was chosen."""
        self.dismiss(event.option.id)


class ChatApp(App[None]):
    """The whole screen."""

    CSS = """
    #title { height: 1; text-style: reverse; padding: 0 1; }
    #history { height: 1fr; padding: 0 1; }
    #notice { height: auto; max-height: 50%; padding: 0 1; text-style: italic; }
    #line { border: none; height: 1; padding: 0 1; }
    #picker { height: 1fr; border: none; }
    """
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = "#line"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("pageup", "page(-1)", "Older"),
        ("pagedown", "page(1)", "Newer"),
        ("ctrl+o", "switch", "Other conversation"),
        ("f1", "help", "Help"),
        ("escape", "clear", "Clear"),
        ("ctrl+c", "quit", "Quit"),
    ]

    def __init__(
        self, api: ApiClient, account: str, conversation: str | None, *, theme: str | None = None
    ) -> None:
        super().__init__()
        self._api = api
        self._account = account
        self._wanted = conversation
        self._colours = THEMES[theme]
        self._views: dict[str, MessageView] = {}
        self._last_own: MessageView | None = None
        self._is_loading = False
        self._notice = ""
        self.talk: Talk | None = None

    def compose(self) -> ComposeResult:
        """Title, history, notices, and the line to write in."""
        yield Static("", id="title", markup=False)
        yield History(id="history")
        yield Static("", id="notice", markup=False)
        yield Input(placeholder="say something, or /help", id="line")

    async def on_mount(self) -> None:
        """Open the conversation, or let one be chosen."""
        self.theme = self._colours
        self.set_interval(TICK, self._tick)
        if self._wanted is None:
            self.action_switch()
        else:
            self._begin(self._wanted)

    # What is typed

    async def on_input_changed(self, event: Input.Changed) -> None:
        """Tell the others that something is being typed; commands are nobody's business."""
        talk = self.talk
        if talk is not None and talk.info:
            is_active = bool(event.value) and not event.value.startswith("/")
            self.run_worker(_quietly(talk.compose(time.monotonic(), is_active=is_active)))

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Carry out what was typed."""
        try:
            order = read_order(event.value)
        except OrderError as error:
            self._tell(str(error))
            return
        event.input.clear()
        self._tell("")
        self.run_worker(self._obey(order, event.value))

    async def _obey(self, order: Order, typed: str) -> None:
        match order.verb:
            case "help":
                self.action_help()
            case "quit":
                self.exit()
            case "older":
                self.load_older()
            case "switch" if order.rest:
                self._begin(order.rest)
            case "switch":
                self.action_switch()
            case _ if self.talk is not None:
                try:
                    lines = await self.talk.obey(order)
                except (ShoalError, TimeoutError) as error:
                    self._refuse(explain(error), typed)
                except OrderError as error:
                    self._refuse(str(error), typed)
                else:
                    self._tell("\n".join(lines))
                    self.query_one(History).scroll_end(animate=False)
            case _:
                self._tell("no conversation is open yet; /switch to one")

    def _refuse(self, why: str, typed: str) -> None:
        """Say why not, and give back what was typed."""
        self._tell(why)
        line = self.query_one("#line", Input)
        if not line.value:
            line.value = typed
            line.cursor_position = len(typed)

    # Keys

    def action_page(self, direction: int) -> None:
        """Turn a page; above the first there may be older ones."""
        history = self.query_one(History)
        if direction < 0 and history.scroll_y <= 0:
            self.load_older()
        elif direction < 0:
            history.scroll_page_up(animate=False)
        else:
            history.scroll_page_down(animate=False)

    def action_help(self) -> None:
        """Show the commands."""
        self._tell("\n".join([*help_lines(), "PgUp, PgDn: scroll; Ctrl-O: switch; Ctrl-C: quit"]))

    def action_clear(self) -> None:
        """Forget what is half written, and the notice."""
        self.query_one("#line", Input).clear()
        self._tell("")

    def action_switch(self) -> None:
        """Choose another conversation."""
        self.run_worker(self._choose(), group="choosing", exclusive=True)

    async def _choose(self) -> None:
        found = await self._api.call("conversation.list", account=self._account)
        if not found:
            self.exit(return_code=1, message="no conversations yet: shoal contact add CONTACT")
            return
        chosen = await self.push_screen_wait(Picker(found))
        if chosen is not None:
            self._begin(chosen)
        elif self.talk is None:
            self.exit()

    async def action_quit(self) -> None:
        """Leave."""
        self.exit()

    # The conversation

    def _begin(self, conversation: str) -> None:
        """Show a conversation from now on."""
        talk = Talk(self._api, self._account, conversation)
        self.run_worker(self._run(talk), group="talk", exclusive=True)

    async def _run(self, talk: Talk) -> None:
        try:
            await talk.open()
        except (ShoalError, TimeoutError) as error:
            if self.talk is None:
                self.exit(return_code=1, message=f"error: {explain(error)}")
            self._tell(explain(error))
            return
        self.talk = talk
        self._title()
        try:
            async for change in talk.follow():
                await self._show(change)
        except (ShoalError, TimeoutError) as error:
            self._tell(explain(error))
        else:
            self._tell("the node has hung up; /quit")

    async def _show(self, change: Entry | str) -> None:
        """Show anew what has changed."""
        talk = self.talk
        assert talk is not None, "it is followed"
        if change == "anew":
            await self._show_all()
        elif change == "gone":
            self._tell("you are no longer in this conversation; /switch to another one")
        elif change == "typing":
            self._tick()
        elif isinstance(change, str):
            self._title()
        else:
            await self._show_entry(change)
        self._show_receipt()
        is_news = change == "anew" or not isinstance(change, str)
        if is_news and self.app_focus:
            await _quietly(talk.seen())

    async def _show_all(self) -> None:
        talk, history = self.talk, self.query_one(History)
        assert talk is not None, "it is followed"
        await history.remove_children()
        self._views, self._last_own = {}, None
        await history.mount_all(self._view(each) for each in talk.transcript.entries)
        self._title()
        self.call_after_refresh(history.scroll_end, animate=False)

    async def _show_entry(self, entry: Entry) -> None:
        history = self.query_one(History)
        is_at_end = history.is_at_end
        if (view := self._views.get(entry.id)) is not None:
            view.show()
        else:
            await history.mount(self._view(entry))
        if is_at_end:
            self.call_after_refresh(history.scroll_end, animate=False)

    def _view(self, entry: Entry) -> MessageView:
        assert self.talk is not None, "it is followed"
        view = self._views[entry.id] = MessageView(self.talk, entry)
        return view

    def load_older(self) -> None:
        """Put a page of older messages above."""
        if self.talk is not None and not self._is_loading:
            self._is_loading = True
            self.run_worker(self._load_older(self.talk))

    async def _load_older(self, talk: Talk) -> None:
        history = self.query_one(History)
        try:
            entries = await talk.load()
            if talk is not self.talk:
                return
            if entries:
                top = next(iter(history.query(MessageView)), None)
                await history.mount_all([self._view(each) for each in entries], before=0)
                if top is not None:  # what was read stays in sight
                    self.call_after_refresh(self._keep_in_sight, top)
            else:
                self._tell("this is the beginning")
        except OrderError as error:
            self._tell(str(error))
        except (ShoalError, TimeoutError) as error:
            self._tell(explain(error))
        finally:
            self._is_loading = False

    def _keep_in_sight(self, view: MessageView) -> None:
        """Scroll to a message, once those above it have their places."""
        history = self.query_one(History)
        self.call_after_refresh(history.scroll_to_widget, view, top=True, animate=False)

    def _show_receipt(self) -> None:
        """Show below our latest message who has it, and only there."""
        talk = self.talk
        assert talk is not None, "it is followed"
        own = talk.transcript.find("", by=talk.me)
        view = self._views.get(own[0].id) if own else None
        if self._last_own is not None and self._last_own is not view:
            self._last_own.show()
        self._last_own = view
        if view is not None and view.is_mounted:
            view.show(is_last_own=True)

    def _title(self) -> None:
        talk = self.talk
        if talk is None:
            return
        members, online = len(talk.info["members"]), talk.online()
        there = "" if online is None else f", {online} online"
        self.query_one("#title", Static).update(f"{talk.title}  ({members} members{there})")

    def _tell(self, text: str) -> None:
        self._notice = text
        self._tick()

    def _tick(self) -> None:
        """Show the notice, or else who types."""
        typists = self.talk.typists(time.monotonic()) if self.talk is not None else []
        typing = f"{', '.join(typists)} typing…" if typists else ""
        lines = [each for each in (self._notice, typing) if each]
        self.query_one("#notice", Static).update("\n".join(lines))

    async def on_app_focus(self, event: events.AppFocus) -> None:
        """Somebody looks again: all was seen."""
        if self.talk is not None and self.talk.info:
            self.run_worker(_quietly(self.talk.seen()))


async def _quietly(work: Awaitable[None]) -> None:
    """Tell the others something that they can do without, if the node can."""
    with contextlib.suppress(ShoalError, TimeoutError):
        await work


def _picked(each: Any) -> str:
    """Return a conversation as a line to choose."""
    unread = f"  ({each['unread']} new)" if each.get("unread") else ""
    return f"{printable(each['title'])}{unread}"
