"""One connection above its byte pipe: TLS, then channels.

    start ──► TLS shaking hands ──Up──► channels ──Down──► over
                      └──────────Down─────────────────────────▲

The pipe below is somebody else's: ICE's path, a direct TCP connection, a relay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from shoal.core.records import dataclass
from shoal.net.errors import ConnectionLostError, MuxError, NetError
from shoal.net.mux import MuxEngine
from shoal.net.mux.effects import ChannelEffect, MuxEffect, MuxSend, Over
from shoal.net.tls.filter import TlsClosed, TlsEffect, TlsEstablished, TlsReceived, TlsSend

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.net.config import MuxConfig
    from shoal.net.tls.filter import TlsFilter


class Send(NamedTuple):
    """Action: send *data* on the pipe."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Up:
    """Event: the peer has proven its device; channels may be opened."""

    tls: str


@dataclass(frozen=True, slots=True)
class Down:
    """Event: it is over and the pipe may be closed, after what `Send` ordered before.

    Attributes:
        error: why; None if the peer said good-bye.
    """

    error: NetError | None


SessionEffect: TypeAlias = Send | Up | Down | ChannelEffect


class Session:
    """TLS and channels on one pipe."""

    def __init__(self, tls: TlsFilter, config: MuxConfig, *, is_server: bool) -> None:
        self.mux = MuxEngine(is_tls_server=is_server, config=config)
        self.is_up = False
        self._tls = tls
        self._is_over = False

    def start(self, now: float) -> list[SessionEffect]:
        """Begin to shake hands."""
        return self._from_tls(self._tls.start(), now)

    def receive(self, data: bytes | memoryview, now: float) -> list[SessionEffect]:
        """Take bytes from the pipe."""
        return self._from_tls(self._tls.receive(data), now)

    def receive_eof(self, now: float) -> list[SessionEffect]:
        """Take the end of the pipe."""
        return self._from_tls(self._tls.receive_eof(), now)

    def close(self, error: NetError | None, now: float) -> list[SessionEffect]:
        """Say good-bye; all channels end, and `Down` is the last effect."""
        return self._end(error, now)

    def from_mux(self, effects: Iterable[MuxEffect], now: float) -> list[SessionEffect]:
        """Carry out what a command of `mux` has ordered."""
        out: list[SessionEffect] = []
        for effect in effects:
            if isinstance(effect, MuxSend):
                out += self._from_tls(self._tls.send(effect.data), now)
            elif isinstance(effect, Over):
                out += self._end(effect.error, now)
            else:
                out.append(effect)
        return out

    def next_deadline(self) -> float | None:
        """When channels want time."""
        return self.mux.next_deadline()

    def advance(self, now: float) -> list[SessionEffect]:
        """Do what is due at *now*."""
        return self.from_mux(self.mux.advance(now), now)

    def _from_tls(self, effects: Iterable[TlsEffect], now: float) -> list[SessionEffect]:
        out: list[SessionEffect] = []
        for effect in effects:
            if type(effect) is TlsReceived:
                out += self.from_mux(self.mux.receive(effect.data, now), now)
            elif type(effect) is TlsSend:
                out.append(Send(effect.data))
            elif type(effect) is TlsEstablished:
                self.is_up = True
                out.append(Up(effect.description))
                out += self.from_mux(self.mux.start(now), now)
            elif type(effect) is TlsClosed:
                out += self._end(effect.error, now)
        return out

    def _end(self, error: NetError | None, now: float) -> list[SessionEffect]:
        if self._is_over:
            return []
        self._is_over = True
        reason = error or ConnectionLostError("the connection was closed")
        if not isinstance(reason, MuxError):
            reason = ConnectionLostError(f"the connection is gone: {reason}")
        lost = self.mux.close(reason, now)
        ended: list[SessionEffect] = [each for each in lost if not isinstance(each, MuxSend | Over)]
        farewell: list[SessionEffect] = [
            Send(each.data) for each in self._tls.close() if type(each) is TlsSend
        ]
        return [*ended, *farewell, Down(error)]
