"""Making accounts: keys in threads, since each takes a second or more, with progress.

The crypto library releases the interpreter lock while it looks for primes, so the three keys are
made at the same time where there are cores for it, and the event loop goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, assert_never

from shoal.core import Compute
from shoal.core.driver import SystemEntropy
from shoal.crypto import PrivateKey
from shoal.crypto.keys import RSA_BITS_DEFAULT
from shoal.identity.account import (
    AccountCreated,
    AccountCreation,
    NewAccount,
    Progressed,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future


def make_account(
    progress: Callable[[Progressed], None] | None = None, *, bits: int = RSA_BITS_DEFAULT
) -> NewAccount:
    """Return a fresh account, once its three keys are made; *progress* is told each step."""
    creation = AccountCreation(SystemEntropy(), bits=bits)
    with ThreadPoolExecutor(max_workers=3, thread_name_prefix="shoal-keys") as pool:
        running: dict[Future[object], int] = {}
        effects = creation.start()
        while True:
            for effect in effects:
                match effect:
                    case Compute(number, job):
                        running[pool.submit(job)] = number
                    case Progressed():
                        if progress is not None:
                            progress(effect)
                    case AccountCreated(account):
                        return account
                    case _:
                        assert_never(effect)
            done, _ = wait(running, return_when="FIRST_COMPLETED")
            future = done.pop()
            effects = creation.computed(running.pop(future), future.result(), time.time())


async def new_account(
    progress: Callable[[Progressed], None] | None = None, *, bits: int = RSA_BITS_DEFAULT
) -> NewAccount:
    """Do what `make_account` does, off the event loop; *progress* is called in it."""
    loop = asyncio.get_running_loop()

    def report(step: Progressed) -> None:
        if progress is not None:
            loop.call_soon_threadsafe(progress, step)

    return await asyncio.to_thread(make_account, report, bits=bits)


async def make_keys(count: int = 1, *, bits: int = RSA_BITS_DEFAULT) -> list[PrivateKey]:
    """Return *count* fresh keys, made at the same time, off the event loop."""
    jobs = (asyncio.to_thread(PrivateKey.generate, bits) for _ in range(count))
    return list(await asyncio.gather(*jobs))
