"""What both sides of the DHT bench are given and answer: keys and values are hexadecimal."""

from __future__ import annotations

from typing import Final, TypedDict

BURST_TIMEOUT: Final = 60.0  # seconds; ours: what has not ended by then is lost
CONNECT_TIMEOUT: Final = 30.0  # seconds for a node to know another one


class Limits(TypedDict):
    """Requests per second that a node accepts: in total and from one address. -1 is no limit."""

    total: int
    per_address: int


class Lookup(TypedDict):
    """Seconds until the first value came (None: never) and until the search was done."""

    first: float | None
    done: float


class Burst(TypedDict):
    """Operations started together: seconds until the last one ended or was given up.

    `failed` ended and say so, or brought nothing; `unfinished` never ended.
    """

    seconds: float
    failed: int
    unfinished: int
    processor_seconds: float
