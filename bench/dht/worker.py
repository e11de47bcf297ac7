"""The process of one side: `python -m bench.dht.worker opendht|shoal`."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from bench.workers import serve

if TYPE_CHECKING:
    from bench.dht.opendht_side import OpendhtSide
    from bench.dht.shoal_side import ShoalSide


def side_of(name: str) -> OpendhtSide | ShoalSide:
    """Return the side called *name*; the libraries of the other stay out of this process."""
    if name == "opendht":
        from bench.dht.opendht_side import OpendhtSide  # noqa: PLC0415 - memory is measured

        return OpendhtSide()
    from bench.dht.shoal_side import ShoalSide  # noqa: PLC0415 - memory is measured

    return ShoalSide()


if __name__ == "__main__":
    asyncio.run(serve(side_of(sys.argv[1])))
    sys.stderr.flush()
    os._exit(0)  # native threads of the peer may outlive the interpreter's patience
