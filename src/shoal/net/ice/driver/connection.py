"""One ICE session as an awaitable connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.core import Entropy
    from shoal.net.ice.candidates import IceDescription
    from shoal.net.ice.config import IceConfig
    from shoal.net.ice.errors import IceError
    from shoal.net.ice.path import IcePath


class IceDriver:
    """An ICE engine on asyncio's sockets.

    ```python
    async with IceDriver(IceConfig(), is_controlling=False) as ice:
        offer = await ice.gather()
        ...  # send offer.to_text() to the peer, receive its answer
        path = await ice.connect(IceDescription.parse(answer))
        ice.on_data(consume, closed)
        ice.send(b"hello")
        await ice.drain()
    ```
    """

    def __init__(
        self, config: IceConfig, *, is_controlling: bool, entropy: Entropy | None = None
    ) -> None:
        raise NotImplementedError

    async def gather(
        self, public: Sequence[bytes] = (), hosts: Sequence[bytes] | None = None
    ) -> IceDescription:
        """Return our description for the peer.

        Raises:
            NoCandidatesError: no address at all.
        """
        raise NotImplementedError

    async def connect(self, remote: IceDescription) -> IcePath:
        """Find a path to the peer.

        Raises:
            IceError: which step failed and why, with the pairs tried.
        """
        raise NotImplementedError

    def on_data(
        self,
        receive: Callable[[bytes | memoryview], None],
        closed: Callable[[IceError | None], None],
    ) -> None:
        """Hand each piece of data to *receive*, what came before included; then *closed* once."""
        raise NotImplementedError

    def send(self, data: bytes | memoryview) -> None:
        """Send *data*; never waits. `drain` afterwards.

        Raises:
            IceStateError: there is no path, or no longer.
        """
        raise NotImplementedError

    async def drain(self) -> None:
        """Wait until the socket takes more."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """Let the peer wait."""
        raise NotImplementedError

    def resume_reading(self) -> None:
        """Read on after `pause_reading`."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close everything, and wait until no socket is left."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self.close()
