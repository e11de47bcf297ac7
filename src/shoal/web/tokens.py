"""Tokens: what callers prove themselves with. Only their hashes are kept, in a file for us alone.

`web-tokens.json` of the home has those that were made to last; commands change it while the node
runs, so it is looked at again whenever it has changed. Sessions of browsers live in memory, and end
with the process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import secrets
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from shoal.core.records import dataclass
from shoal.identity.driver.files import write_file
from shoal.identity.errors import AccountFileError
from shoal.web.errors import (
    LinkUsedError,
    TokenFileError,
    TokenRefusedError,
    TooManyTokensError,
    UnknownTokenError,
)
from shoal.web.scopes import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE: Final = "web-tokens.json"
PREFIX: Final = "shoal_"
SECRET_BYTES: Final = 32  # ours: as Jami's
SHOWN_DIGITS: Final = 8  # Jami apitokenmanager.cpp: enough to tell tokens apart by
TOKENS_MAX: Final = 256  # ours: kept in the file
SESSIONS_MAX: Final = 64  # ours: of browsers; the oldest goes
LINKS_MAX: Final = 16  # ours: one-time links that wait to be used; the oldest goes
LINK_SECONDS: Final = 600.0  # ours: how long a one-time link waits
LABEL_MAX: Final = 128  # characters; ours
TOKEN_TEXT_MAX: Final = 256  # characters that are hashed at all; ours
FILE_SIZE_MAX: Final = 1024 * 1024  # bytes; ours: four times what TOKENS_MAX take


@dataclass(frozen=True, slots=True)
class Token:
    """What is known about a token; never the token itself.

    Attributes:
        id: what it is revoked by.
        prefix: its first characters, to recognise it by.
        label: what it is for.
        scopes: what it permits.
        account: the id of the only account that it is for, or "".
        wall_created: seconds since 1970.
        wall_expires: the same, or 0 for never.
    """

    id: str
    prefix: str
    label: str
    scopes: tuple[str, ...]
    account: str
    wall_created: float
    wall_expires: float = 0.0

    def is_valid(self, wall_now: float) -> bool:
        """Whether it has not expired."""
        return not self.wall_expires or wall_now < self.wall_expires


def digest(text: str) -> str:
    """Return what is kept of a secret: it has 256 bits of chance, so a plain hash will do."""
    return hashlib.sha256(text.encode()).hexdigest()


def mint(
    label: str, scopes: tuple[str, ...], account: str, wall_now: float, seconds: float = 0.0
) -> tuple[str, Token]:
    """Make a token; return it, and what is known about it."""
    text = PREFIX + secrets.token_hex(SECRET_BYTES)
    prefix = text[: len(PREFIX) + SHOWN_DIGITS]
    expires = wall_now + seconds if seconds else 0.0
    identifier = secrets.token_hex(8)
    return text, Token(identifier, prefix, label[:LABEL_MAX], scopes, account, wall_now, expires)


class TokenFile:
    """The tokens that were made to last."""

    def __init__(self, home: Path) -> None:
        """Look at the file in *home*, which may not exist yet."""
        self._path = home / FILE
        self._tokens: dict[str, Token] = {}
        self._seen: tuple[int, int, int] | None = None

    def find(self, text: str) -> Token | None:
        """Return what is known about a token, if it is one.

        Raises:
            TokenFileError: the file cannot be read.
        """
        self._look()
        return self._tokens.get(digest(text))

    def list(self) -> tuple[Token, ...]:
        """Return all tokens, oldest first; those that expired, too.

        Raises:
            TokenFileError: the file cannot be read.
        """
        self._look()
        return tuple(self._tokens.values())

    def new(
        self, label: str, scopes: tuple[str, ...], *, account: str = "", seconds: float = 0.0
    ) -> tuple[str, Token]:
        """Make a token and keep its hash; return it, and what is known about it.

        Args:
            label: what it is for.
            scopes: what it permits.
            account: the id of the only account that it is for, or "".
            seconds: how long it is valid; 0 is for ever.

        Raises:
            TooManyTokensError: there are as many as allowed.
            TokenFileError: the file cannot be read or written.
        """
        with self._changing():
            wall_now = time.time()
            kept = {key: each for key, each in self._tokens.items() if each.is_valid(wall_now)}
            if len(kept) >= TOKENS_MAX:
                raise TooManyTokensError(f"{TOKENS_MAX} tokens")
            text, token = mint(label, scopes, account, wall_now, seconds)
            self._tokens = {**kept, digest(text): token}
        return text, token

    def revoke(self, identifier: str) -> Token:
        """Forget a token, by its id or its prefix; from now on it is refused.

        Raises:
            UnknownTokenError: there is none.
            TokenFileError: the file cannot be read or written.
        """
        with self._changing():
            for key, token in self._tokens.items():
                if identifier in {token.id, token.prefix}:
                    del self._tokens[key]
                    return token
            raise UnknownTokenError(f"no token {identifier[:80]!r}")

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Read, let the block change, write; one process at a time."""
        try:
            with self._path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._seen = None
                self._look()
                yield
                self._write()
        except OSError as error:
            raise TokenFileError(f"cannot write {self._path}: {error.strerror}") from error

    def _look(self) -> None:
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen == self._seen:
                return
            if status.st_size > FILE_SIZE_MAX:
                raise TokenFileError(f"{self._path} is larger than {FILE_SIZE_MAX} bytes")
            self._tokens = _read(self._path.read_bytes())
        except FileNotFoundError:
            self._tokens, self._seen = {}, None
        except OSError as error:
            raise TokenFileError(f"cannot read {self._path}: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise TokenFileError(f"{self._path} is no file of tokens: {error}") from error
        else:
            self._seen = seen

    def _write(self) -> None:
        fields = {key: dataclasses.asdict(token) for key, token in self._tokens.items()}
        data = json.dumps({"tokens": fields}, indent=1).encode()
        try:
            write_file(self._path, data)
        except AccountFileError as error:
            raise TokenFileError(str(error)) from error
        self._seen = None


def _read(data: bytes) -> dict[str, Token]:
    found: dict[str, Any] = json.loads(data)["tokens"]
    return {
        key: Token(**{**fields, "scopes": tuple(fields["scopes"])}) for key, fields in found.items()
    }


class TokenBook:
    """All that callers may prove themselves with: tokens of the file, and sessions of browsers."""

    def __init__(self, home: Path) -> None:
        """Take the tokens of *home*; sessions begin empty."""
        self.file = TokenFile(home)
        self._sessions: OrderedDict[str, Token] = OrderedDict()
        self._links: OrderedDict[str, float] = OrderedDict()

    def check(self, text: str) -> Token:
        """Return what is known about a token.

        Raises:
            TokenRefusedError: it is not valid.
            TokenFileError: the file cannot be read.
        """
        found = None
        if len(text) <= TOKEN_TEXT_MAX:
            found = self._sessions.get(digest(text)) or self.file.find(text)
        if found is None or not found.is_valid(time.time()):
            raise TokenRefusedError("this token is not valid")
        return found

    def is_known(self, token: Token) -> bool:
        """Whether a token that was valid still is.

        Raises:
            TokenFileError: the file cannot be read.
        """
        is_kept = token in self._sessions.values() or token in self.file.list()
        return is_kept and token.is_valid(time.time())

    def new_link(self, now: float) -> str:
        """Return a code for a link that opens one session, within ten minutes."""
        code = secrets.token_urlsafe(SECRET_BYTES)
        self._links[digest(code)] = now + LINK_SECONDS
        while len(self._links) > LINKS_MAX:
            self._links.popitem(last=False)
        return code

    def open_session(self, code: str, now: float) -> tuple[str, Token]:
        """Return a token for a browser, once for each code.

        Raises:
            LinkUsedError: the code was used, is too old, or was never given.
        """
        deadline = self._links.pop(digest(code), None)
        if deadline is None or now > deadline:
            raise LinkUsedError("this link was used already, or is too old")
        text, token = mint("browser", (EVERYTHING,), "", time.time())
        self._sessions[digest(text)] = token
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return text, token

    def close_session(self, token: Token) -> None:
        """End a session; nothing happens if it is none."""
        for key, each in list(self._sessions.items()):
            if each == token:
                del self._sessions[key]
