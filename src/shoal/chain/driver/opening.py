"""Opens whichever chain a user names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.chain.driver.embedded import EmbeddedChain
from shoal.chain.errors import ChainMissingError

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.chain.config import RpcConfig
    from shoal.chain.driver.rpc import RpcChain

EMBEDDED: Final = "embedded"


async def open_chain(
    where: str,
    *,
    folder: Path | None = None,
    create: bool = True,
    config: RpcConfig | None = None,
) -> EmbeddedChain | RpcChain:
    """Open the chain *where*: `embedded`, which lives in *folder*, or the URL of a node.

    Close it when done. A node is not asked yet.

    Raises:
        ChainMissingError: there is no embedded chain, and none is to be made.
        ChainBusyError: another process has it.
        EvmMissingError: the embedded chain's virtual machine is not installed.
        ChainProtocolError: *where* is neither `embedded` nor an HTTP URL.
    """
    if where != EMBEDDED:
        from shoal.chain.config import RpcConfig  # noqa: PLC0415 - for its weight: HTTP
        from shoal.chain.driver.rpc import RpcChain  # noqa: PLC0415

        return RpcChain(where, config or RpcConfig())
    if folder is None:
        raise ChainMissingError("an embedded chain takes a folder")
    chain = EmbeddedChain(folder, create=create)
    await chain.open()
    return chain
