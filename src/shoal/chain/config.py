"""Settings of those who send transactions, and of those who ask a node."""

from __future__ import annotations

from shoal.core.records import dataclass

GWEI = 10**9  # wei; the unit that fees are spoken of in


@dataclass(frozen=True, slots=True)
class TransactionConfig:
    """How transactions are sent and followed. Intervals are seconds, fees wei per unit of gas.

    Attributes:
        confirmations: blocks, the transaction's own included, after which it is believed to stay.
        poll_interval: between two looks at the chain while something is under way.
        retry_interval: between two attempts while the chain does not answer.
        resend_interval: after which a transaction in no block is handed in again.
        replace_blocks: blocks after which a transaction in none is replaced by a dearer one.
        lost_blocks: blocks during which a transaction must be missing although its number was
            used, until it is believed that another took its place.
        fee_bump_percent: by which a replacement is dearer; nodes ask for 10.
        fee_max: the most that is ever offered.
        gas_margin_percent: by which the gas limit is above the estimate.
        queue_max: transactions under way or waiting; more are refused.
        in_flight_max: transactions handed in and in no block yet.
    """

    confirmations: int = 3
    poll_interval: float = 4.0
    retry_interval: float = 5.0
    resend_interval: float = 60.0
    replace_blocks: int = 5
    lost_blocks: int = 3
    fee_bump_percent: int = 13
    fee_max: int = 1_000 * GWEI
    gas_margin_percent: int = 20
    queue_max: int = 4096
    in_flight_max: int = 16


EMBEDDED_CONFIG = TransactionConfig(confirmations=1, poll_interval=0.5, retry_interval=0.5)


@dataclass(frozen=True, slots=True)
class RpcConfig:
    """How a node is asked. Times are seconds, sizes bytes.

    Attributes:
        timeout: for one answer.
        attempts: how often a request is made until the chain counts as unreachable.
        retry_wait: before the second attempt; doubled for each further one.
        poll_interval: between two questions for the newest block, while one waits for it.
        logs_step: blocks that are asked for logs at once; halved where a node refuses.
        answer_max: an answer that is larger is none.
        batch_max: requests in one HTTP request.
    """

    timeout: float = 20.0
    attempts: int = 3
    retry_wait: float = 0.25
    poll_interval: float = 2.0
    logs_step: int = 1000
    answer_max: int = 64 * 1024 * 1024
    batch_max: int = 100
