"""Tokens: hashed, for us alone, seen by a node that runs while a command changes them."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

import pytest

from shoal.web import tokens as module
from shoal.web.errors import (
    LinkUsedError,
    TokenFileError,
    TokenRefusedError,
    TooManyTokensError,
    UnknownTokenError,
)
from shoal.web.tokens import FILE, LINK_SECONDS, SESSIONS_MAX, TokenBook, TokenFile

if TYPE_CHECKING:
    from pathlib import Path

READ = ("contacts:read",)


def test_only_a_hash_is_kept_and_only_for_us(tmp_path: Path) -> None:
    """Neither the token nor a part that one could guess from is in the file."""
    text, token = TokenFile(tmp_path).new("bot", READ)
    path = tmp_path / FILE
    kept = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert text not in kept
    assert text[20:] not in kept
    assert len(text.removeprefix("shoal_")) == 64
    assert token.prefix == text[:14]
    assert (token.label, token.scopes, token.account) == ("bot", READ, "")


def test_another_process_sees_what_was_made_and_revoked(tmp_path: Path) -> None:
    """A command makes and revokes, the node looks again."""
    node, command = TokenBook(tmp_path), TokenFile(tmp_path)
    with pytest.raises(TokenRefusedError):
        node.check("shoal_nonsense")
    text, token = command.new("bot", READ)
    assert node.check(text) == token
    assert node.is_known(token)
    assert command.revoke(token.prefix) == token
    assert not node.is_known(token)
    with pytest.raises(TokenRefusedError):
        node.check(text)
    with pytest.raises(UnknownTokenError):
        command.revoke(token.id)


def test_tokens_end(tmp_path: Path) -> None:
    """One that is past its time is refused, listed, and swept when the next is made."""
    book = TokenBook(tmp_path)
    text, token = book.file.new("short", READ, seconds=1e-9)
    with pytest.raises(TokenRefusedError):
        book.check(text)
    assert not book.is_known(token)
    assert book.file.list() == (token,)
    book.file.new("next", READ)
    assert [each.label for each in book.file.list()] == ["next"]


def test_there_are_not_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file does not grow without end."""
    monkeypatch.setattr(module, "TOKENS_MAX", 2)
    file = TokenFile(tmp_path)
    file.new("a", READ)
    file.new("b", READ)
    with pytest.raises(TooManyTokensError):
        file.new("c", READ)


@pytest.mark.parametrize("junk", ["", "[]", "{}", '{"tokens": {"x": {}}}', '{"tokens": 7}', "\xff"])
def test_a_damaged_file_is_an_error_and_not_nobody(tmp_path: Path, junk: str) -> None:
    """Nobody gets in, and nothing is overwritten."""
    (tmp_path / FILE).write_text(junk, encoding="latin-1")
    book = TokenBook(tmp_path)
    with pytest.raises(TokenFileError):
        book.check("shoal_x")
    with pytest.raises(TokenFileError):
        book.file.new("x", READ)
    assert (tmp_path / FILE).read_text(encoding="latin-1") == junk


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """As where the home is gone."""
    with pytest.raises(TokenFileError, match="cannot write"):
        TokenFile(tmp_path / "gone").new("x", READ)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was written in part never takes the place of a whole one."""
    text, _ = TokenFile(tmp_path).new("first", READ)

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("os.fsync", fail)
        with pytest.raises(TokenFileError, match="No space left"):
            TokenFile(tmp_path).new("second", READ)
    book = TokenBook(tmp_path)
    assert book.check(text).label == "first"
    assert [each.label for each in book.file.list()] == ["first"]
    assert {each.name for each in tmp_path.iterdir()} == {FILE, "web-tokens.lock"}


def test_a_link_opens_one_session(tmp_path: Path) -> None:
    """Once, within its time; the session's token is of no file, and ends when told to."""
    book = TokenBook(tmp_path)
    code = book.new_link(0.0)
    text, token = book.open_session(code, 1.0)
    assert book.check(text) == token
    assert book.is_known(token)
    assert token.scopes == ("*",)
    assert not (tmp_path / FILE).exists()
    with pytest.raises(LinkUsedError):
        book.open_session(code, 2.0)
    late = book.new_link(0.0)
    with pytest.raises(LinkUsedError):
        book.open_session(late, LINK_SECONDS + 1)
    with pytest.raises(LinkUsedError):
        book.open_session("guess", 0.0)
    book.close_session(token)
    with pytest.raises(TokenRefusedError):
        book.check(text)


def test_links_and_sessions_are_bounded(tmp_path: Path) -> None:
    """The oldest go."""
    book = TokenBook(tmp_path)
    first_code = book.new_link(0.0)
    codes = [book.new_link(0.0) for _ in range(module.LINKS_MAX)]
    with pytest.raises(LinkUsedError):
        book.open_session(first_code, 0.0)
    first, _ = book.open_session(codes[0], 0.0)
    for _ in range(SESSIONS_MAX):
        book.open_session(book.new_link(0.0), 0.0)
    with pytest.raises(TokenRefusedError):
        book.check(first)


def test_what_is_too_long_is_not_even_hashed(tmp_path: Path) -> None:
    """It is refused."""
    with pytest.raises(TokenRefusedError):
        TokenBook(tmp_path).check("x" * 100_000)
