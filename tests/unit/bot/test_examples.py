"""The bots of `examples/`, each among people that use it."""

from __future__ import annotations

import http.server
import importlib.util
import re
import socket
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import pytest

from shoal.bot import MemberAction, Refusal
from shoal.swarm import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from shoal.testing import LoopbackNetwork

EXAMPLES: Final = Path(__file__).parents[3] / "examples"
LOOPBACK: Final = "127.0.0.1"


def example(name: str) -> ModuleType:
    """Import an example anew: a bot is described once per test."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_echo(shoal_network: LoopbackNetwork) -> None:
    """It says what it hears."""
    bot = shoal_network.bot(example("echo").bot)
    talk = shoal_network.user("Alice").meet(bot)
    talk.say("hello?")
    talk.expect("hello?")


def test_reminder(shoal_network: LoopbackNetwork) -> None:
    """It reminds in time, also after a restart, and not of what was forgotten."""
    bot = shoal_network.bot(example("reminder").bot)
    talk = shoal_network.user("Alice").meet(bot)
    talk.say("/remind 10m the tea")
    talk.expect(re.compile(r"number 1"))
    talk.say("/remind 2h the cake")
    talk.expect(re.compile(r"number 2"))
    talk.say("/remind 1w the boat")
    talk.expect(re.compile(r"number 3"))
    talk.say("/forget 3")
    talk.expect("Forgotten.")
    shoal_network.advance(601)
    talk.expect("⏰ the tea")
    talk.say("/reminders")
    talk.expect("2  the cake")
    bot.go_offline()
    shoal_network.advance(7 * 86_400)
    bot.come_back()
    talk.expect("⏰ the cake")
    talk.say("/reminders")
    talk.expect("Nothing waits.")
    talk.say("/remind tomorrow the fish")
    talk.expect(re.compile("is no time"))
    assert "⏰ the boat" not in [text for _, text in talk.texts()]


def test_file_drop(shoal_network: LoopbackNetwork, tmp_path: Path) -> None:
    """It keeps files, lists them, sends them back, and drops them."""
    bot = shoal_network.bot(example("file_drop").bot)
    alice = shoal_network.user("Alice")
    talk = alice.meet(bot)
    data = bytes(range(256)) * 1_000
    chart = tmp_path / "a chart.bin"
    chart.write_bytes(data)
    talk.send_file(chart)
    talk.expect("Kept as a chart.bin.")
    talk.say("/list")
    talk.expect("a chart.bin  256,000 bytes")
    talk.say("/get a chart.bin")
    offer = talk.expect_file("a chart.bin")
    assert talk.download(offer, tmp_path / "back").read_bytes() == data
    talk.say("/get another")
    talk.expect(re.compile("no such file"))
    talk.say("/drop a chart.bin")
    talk.expect("Dropped.")
    talk.say("/list")
    talk.expect("Nothing is kept here.")


def post(port: int, text: str, secret: str) -> int:
    """Post a text as a program would; return the status."""
    request = urllib.request.Request(
        f"http://{LOOPBACK}:{port}/", text.encode(), {"Authorization": f"Bearer {secret}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@contextmanager
def web(answer: bytes = b"", said: SimpleQueue[bytes] | None = None) -> Iterator[Any]:
    """Serve *answer* to whoever asks, and keep what is posted."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.answer)  # type: ignore[attr-defined]  # set below

        def do_POST(self) -> None:
            assert said is not None
            said.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        server.answer = answer  # type: ignore[attr-defined]  # what tests change
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_webhook_bridge(shoal_network: LoopbackNetwork, caplog: pytest.LogCaptureFixture) -> None:
    """Programs with the secret are heard where that is wanted; people are heard by a program."""
    said: SimpleQueue[bytes] = SimpleQueue()
    caplog.set_level("INFO")
    with web(said=said) as outside:
        forward = f"http://{LOOPBACK}:{outside.server_port}/"
        module = example("webhook_bridge")
        bot = shoal_network.bot(module.make_bot("hush", forward=forward))
        (line,) = (each for each in caplog.messages if "takes texts at" in each)
        port = int(line.rpartition(":")[2])
        alice, bob = shoal_network.user("Alice"), shoal_network.user("Bob")
        talk, other = alice.meet(bot), bob.meet(bot)
        talk.say("/watch")
        talk.expect("I will say here what I am told.")
        assert post(port, "the build is green ✓", "hush") == 204
        talk.expect("the build is green ✓")
        assert post(port, "let me in", "guess") == 401
        assert post(port, "x" * 20_000, "hush") == 413
        talk.say("thank you")
        other.say("not for programs")
        assert b'"text": "thank you"' in said.get(timeout=60)
        talk.say("/unwatch")
        talk.expect("I will be silent.")
        assert post(port, "the build is red", "hush") == 204
        other.say("/watch")
        other.expect("I will say here what I am told.")
        assert said.empty()
        assert "let me in" not in [text for _, text in talk.texts()]


def test_moderator(shoal_network: LoopbackNetwork) -> None:
    """It begins a group, greets, warns, and bans the third time."""
    bot = shoal_network.bot(example("moderator").bot)
    alice, bob = shoal_network.user("Alice"), shoal_network.user("Bob")
    talk = alice.meet(bot)
    talk.say("/newgroup")
    talk.expect(re.compile("You are invited"))
    group = alice.invited_to()
    group.expect(re.compile("Welcome aboard"))
    alice.meet(bob)
    group.say(f"/invite jami:{bob.id}")
    group.expect("Invited.")
    theirs = bob.accept_invitation(group)
    theirs.expect(re.compile("Welcome aboard"))
    for count in (1, 2):
        theirs.say("you Barnacle!")
        theirs.expect(re.compile(f"strike {count} of 3"))
    theirs.say("barnacles are animals")  # another word
    theirs.say("bilge")
    group.expect(re.compile("Three strikes"))
    group.expect_member(MemberAction.BAN, bob)
    assert group.members[bob.id] is Role.BANNED
    group.say(f"/pardon jami:{bob.id}")
    group.expect("Pardoned.")
    assert group.members[bob.id] is not Role.BANNED


RSS: Final = """<?xml version="1.0"?><rss version="2.0"><channel><title>Tides</title>
{items}</channel></rss>"""
ITEM: Final = "<item><guid>{n}</guid><title>Tide {n}</title><link>https://tides/{n}</link></item>"


def feed(*numbers: int) -> bytes:
    """A feed of these items, newest first."""
    return RSS.format(items="".join(ITEM.format(n=number) for number in numbers)).encode()


def test_rss(shoal_network: LoopbackNetwork) -> None:
    """What is new is told once, in order, after restarts, too."""
    module: Any = example("rss")
    bot = shoal_network.bot(module.bot)
    talk = shoal_network.user("Alice").meet(bot)
    with web(feed(2, 1)) as server:
        url = f"http://{LOOPBACK}:{server.server_port}/"
        talk.say(f"/follow {url}")
        talk.expect("I read public feeds alone.")
        module.allows_private = True
        talk.say(f"/follow {url}")
        talk.expect(re.compile(r"I follow it\. Its latest: Tide 2"))
        server.answer = feed(4, 3, 2)
        shoal_network.advance(901)
        talk.expect("Tide 3\nhttps://tides/3")
        talk.expect("Tide 4\nhttps://tides/4")
        bot.restart()
        server.answer = feed(5, 4)
        shoal_network.advance(901)
        talk.expect("Tide 5\nhttps://tides/5")
        talk.say("/feeds")
        talk.expect(url)
        talk.say(f"/unfollow {url}")
        talk.expect(re.compile("any more"))
        talk.say("/feeds")
        talk.expect("I follow none.")


def test_a_feed_is_asked_at_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads to a public address when it is checked leads into our network next."""
    answers = iter(["1.1.1.1"])
    asked: list[tuple[str, int]] = []

    def look_up(host: str, port: int, *args: object, **options: object) -> list[Any]:
        address = next(answers, LOOPBACK)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(address: tuple[str, int], *args: object, **options: object) -> socket.socket:
        asked.append(address)
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect)
    fetch = example("rss").fetch
    for url in ("http://feeds.example:8080/", "https://feeds.example:8080/"):
        with pytest.raises(Refusal, match=r"refused|public feeds"):
            fetch(url)
    assert asked == [("1.1.1.1", 8080)]  # the second time the name leads elsewhere: nobody is asked


def test_feeds_lead_to_the_web_alone() -> None:
    """Not to files, and not to other services, directly or by a redirect."""
    module: Any = example("rss")
    for url in ("file:///etc/passwd", "ftp://feeds.example/", "feeds.example", "http:///x"):
        with pytest.raises(Refusal, match="begins with"):
            module.fetch(url)
        with pytest.raises(Refusal, match="begins with"):
            module.CheckedRedirects().redirect_request(None, None, 302, "", {}, url)


def test_what_feeds_are_read() -> None:
    """RSS and Atom; nothing that defines entities, is no XML, or something else."""
    parse = example("rss").parse
    atom = b"""<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>urn:1</id>
        <title>Low  tide</title><link href="https://tides/low"/></entry></feed>"""
    assert parse(atom) == [("urn:1", "Low tide", "https://tides/low")]
    assert [each.title for each in parse(feed(2, 1))] == ["Tide 2", "Tide 1"]
    for hostile in (
        b'<!DOCTYPE rss [<!ENTITY a "aaaa">]><rss><channel/></rss>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE rss><rss/>'.encode("utf-16"),
        b"<rss>",
        b"<html/>",
        b"\xff\xfe",
    ):
        with pytest.raises(Refusal):
            parse(hostile)
