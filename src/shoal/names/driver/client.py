"""`NameClient`: asks name servers, over HTTP, and believes only what it can check."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import httpx2

from shoal.core import AccountId, DecodeError
from shoal.core.records import dataclass
from shoal.names import exchange
from shoal.names.cache import Freshness, NameCache
from shoal.names.config import NameClientConfig
from shoal.names.errors import (
    BadNameAnswerError,
    NameNotFoundError,
    NameServerUnavailableError,
    RegistrationRefusedError,
)
from shoal.names.exchange import HttpAnswer, HttpQuestion
from shoal.names.record import NameRecord, sign_name
from shoal.names.rules import canonical_name
from shoal.names.uris import parse_address, server_url
from shoal.names.wire import ANSWER_SIZE_MAX, decode_object

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import Any, Self

    from shoal.chain import ChainAddress
    from shoal.crypto import PublicKey

CONNECTIONS_MAX: Final = 32  # ours: kept and in use, to all servers
_HEADERS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",  # answers are small, and their bound is on what arrives
    "Content-Type": "application/json",
    "User-Agent": "shoal",
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """What an address that somebody typed leads to.

    Attributes:
        account: the account.
        record: what proves the name; None where an id was typed, and nothing was looked up.
        server: that was asked; empty where none was.
    """

    account: AccountId
    record: NameRecord | None = None
    server: str = ""


class NameClient:
    """Looks names up and registers them.

        async with NameClient(server="https://ns.jami.net") as names:
            record = await names.lookup("alice")

    One client serves many accounts: every method takes the server of the account, and remembers
    answers by server.
    """

    def __init__(
        self,
        config: NameClientConfig | None = None,
        *,
        server: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Describe the client; `async with` opens it.

        Args:
            config: patience, and what to believe.
            server: the name server to ask unless told otherwise; instead of that in *config*.
            tls: whom to trust, instead of the usual authorities.

        Raises:
            AddressFormatError: the server is no URL.
        """
        config = config or NameClientConfig()
        self.config = config if server is None else replace(config, server=server)
        self._server = server_url(self.config.server)
        self._cache = NameCache(self.config)
        self._tls = tls
        self._http: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        self._http = httpx2.AsyncClient(
            headers=_HEADERS,
            verify=True if self._tls is None else self._tls,
            follow_redirects=False,
            trust_env=False,
            limits=httpx2.Limits(
                max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX
            ),
        )
        return self

    async def __aexit__(self, *unused: object) -> None:
        assert self._http is not None, "entered before"
        await self._http.aclose()

    async def resolve(self, address: str, *, server: str | None = None) -> Resolved:
        """Return the account that *address* leads to: an id, a name, or name@server, maybe a URI.

        Raises:
            AddressFormatError: it is no address.
            InvalidNameError: what it names cannot be a name.
            NameNotFoundError: nobody has the name.
            NamesError: the server gave no answer, or a false one.
        """
        target = parse_address(address)
        if target.account is not None:
            return Resolved(target.account)
        asked = self._url(target.server or server)
        record = await self.lookup(target.name, server=asked)
        return Resolved(record.account, record, asked)

    async def lookup(
        self, name: str, *, server: str | None = None, is_fresh: bool = False
    ) -> NameRecord:
        """Return who has *name*: checked, and remembered for a while.

        Args:
            name: in any case.
            server: the name server, instead of the client's own.
            is_fresh: ask the server, whatever is remembered.

        Raises:
            InvalidNameError: it cannot be a name.
            NameNotFoundError: nobody has it.
            NamesError: the server gave no answer, or a false one.
        """
        name, url = canonical_name(name), self._url(server)
        record = await self._remembered((url, name), is_fresh=is_fresh, ask=self._ask_name)
        if record is None:
            raise NameNotFoundError(f"nobody has the name {name} at {url}")
        return record

    async def reverse(
        self, account: AccountId, *, server: str | None = None, is_fresh: bool = False
    ) -> NameRecord:
        """Return the name of *account*, once it was seen to lead back to it.

        Raises:
            NameNotFoundError: it has none.
            NamesError: the server gave no answer, or a false one.
        """
        url = self._url(server)
        record = await self._remembered((url, account), is_fresh=is_fresh, ask=self._ask_account)
        if record is None:
            raise NameNotFoundError(f"{account} has no name at {url}")
        return record

    async def register(
        self,
        name: str,
        public_key: PublicKey,
        sign: Callable[[bytes], bytes],
        owner: ChainAddress,
        *,
        server: str | None = None,
    ) -> NameRecord:
        """Register *name* for the account of *public_key*, for ever; repeating it is harmless.

        Args:
            name: in any case.
            public_key: the account's.
            sign: signs with the account's private key, as `PrivateKey.sign` does; run in a thread.
            owner: the chain's address that shall own the record: the account's.
            server: the name server, instead of the client's own.

        Raises:
            RegistrationRefusedError: the name is taken, or the account has another; see its kinds.
            RegistrationPendingError: the server goes on with it; ask again later.
            NamesError: the server gave no answer, or a false one.
        """
        url = self._url(server)
        record = await asyncio.to_thread(sign_name, name, public_key, sign)
        return await self.register_record(record.with_owner(owner), server=url)

    async def register_record(self, record: NameRecord, *, server: str | None = None) -> NameRecord:
        """Register a record that was signed before; see `register`."""
        url = self._url(server)
        question = exchange.ask_registration(record)
        answer = await self._exchange(url, question, self.config.registration_timeout)
        try:
            exchange.read_registration(answer)
        except RegistrationRefusedError:
            self._cache.forget((url, record.name))  # it was "not found", and no longer is
            raise
        self._cache.remember_record(url, record.with_owner(None), _now())  # as a lookup has it
        return record

    async def status(self, *, server: str | None = None) -> dict[str, Any]:
        """Return what a server of our kind says of itself.

        Raises:
            BadNameAnswerError: it is of another kind.
            NameServerUnavailableError: it gives no answer.
        """
        answer = await self._exchange(
            self._url(server), HttpQuestion("GET", "/healthz"), self.config.timeout
        )
        return _object(answer)

    async def progress(self, name: str, *, server: str | None = None) -> dict[str, Any]:
        """Return how far the registration of *name* is, as a server of our kind says.

        Raises:
            InvalidNameError: it cannot be a name.
            BadNameAnswerError: the server is of another kind.
            NameServerUnavailableError: it gives no answer.
        """
        path = f"/registration/{canonical_name(name)}"
        answer = await self._exchange(
            self._url(server), HttpQuestion("GET", path), self.config.timeout
        )
        return _object(answer)

    # Parts

    def _url(self, server: str | None) -> str:
        return self._server if not server else server_url(server)

    async def _remembered(
        self,
        key: tuple[str, str | AccountId],
        *,
        is_fresh: bool,
        ask: Callable[[str, Any], Any],
    ) -> NameRecord | None:
        """Return what is remembered, if it is fresh; else ask, and remember."""
        freshness, record = self._cache.find(key, _now())
        if freshness is Freshness.FRESH and not is_fresh:
            return record
        try:
            found: NameRecord | None = await ask(*key)
        except NameServerUnavailableError:
            if freshness is Freshness.STALE and not is_fresh:
                return record  # it was true, and names never change hands
            raise
        if found is None:
            self._cache.remember(key, None, _now())
        else:
            self._cache.remember_record(key[0], found, _now())
        return found

    async def _ask_name(self, url: str, name: str) -> NameRecord | None:
        answer = await self._exchange(url, exchange.ask_name(name), self.config.timeout)
        return exchange.read_name(answer, name, allow_unsigned=self.config.allow_unsigned)

    async def _ask_account(self, url: str, account: AccountId) -> NameRecord | None:
        answer = await self._exchange(url, exchange.ask_account(account), self.config.timeout)
        name = exchange.read_account(answer)
        if name is None:
            return None
        return exchange.check_reverse(await self._ask_name(url, name), name, account)

    async def _exchange(self, url: str, question: HttpQuestion, patience: float) -> HttpAnswer:
        """Make one request.

        Raises:
            NameServerUnavailableError: no answer in time, or too long a one.
        """
        assert self._http is not None, "use it as a context manager"
        try:
            async with (
                asyncio.timeout(patience),
                self._http.stream(
                    question.method, url + question.path, content=question.body, timeout=patience
                ) as response,
            ):
                body = bytearray()
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > ANSWER_SIZE_MAX:
                        raise BadNameAnswerError(f"{url} sends more than {ANSWER_SIZE_MAX} bytes")
                wait = exchange.seconds_of(response.headers.get("Retry-After"))
                return HttpAnswer(response.status_code, bytes(body), wait)
        except TimeoutError as error:
            raise NameServerUnavailableError(f"{url} does not answer in time") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            reason = str(error) or type(error).__name__
            raise NameServerUnavailableError(f"{url} gives no answer: {reason}") from error


def _object(answer: HttpAnswer) -> dict[str, Any]:
    try:
        return decode_object(answer.body, ANSWER_SIZE_MAX)
    except DecodeError as error:
        raise BadNameAnswerError(f"status {answer.status}, and {error}") from error


def _now() -> float:
    return time.monotonic()
