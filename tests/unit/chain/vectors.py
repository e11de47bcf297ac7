"""What other Ethereum libraries encode and sign: tests/vectors/chain/ethereum.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

ETHEREUM: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "chain" / "ethereum.json").read_text()
)


def unhex(text: str) -> bytes:
    """Return the bytes of 0x…."""
    return bytes.fromhex(text.removeprefix("0x"))
