"""asyncio inside a namespace: a thread there runs a loop of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING, TypeVar

from tests.peers.netns import enter

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.peers.namespaces import Namespace

T = TypeVar("T")


def start_inside(
    namespace: Namespace, work: Callable[[], Coroutine[object, object, T]]
) -> concurrent.futures.Future[T]:
    """Run the coroutine that *work* makes, in a loop in *namespace*; its result comes later."""
    future: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            enter(namespace)
            future.set_result(asyncio.run(work()))
        except BaseException as error:  # noqa: BLE001 - for whoever waits
            future.set_exception(error)

    threading.Thread(target=run, name=f"inside {namespace.name}", daemon=True).start()
    return future


def run_inside(
    namespace: Namespace,
    work: Callable[[], Coroutine[object, object, T]],
    patience: float = 120.0,
) -> T:
    """Run the coroutine that *work* makes, in a loop in *namespace*; return its result."""
    return start_inside(namespace, work).result(patience)
