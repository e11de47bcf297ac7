"""Foundry's `anvil` 1.7.1: a real Ethereum node whose blocks and faults a test can order."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import TYPE_CHECKING, Any, Final, Self

from tests.peers.peer import LOOPBACK, PeerError, free_port
from tests.peers.presence import ANVIL_PATH
from tests.peers.process import LoggedProcess

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

CHAIN_ID: Final = 31337  # its default
START_TIMEOUT: Final = 60.0  # seconds on a busy machine
ANSWER_TIMEOUT: Final = 30.0  # seconds
# The first of the accounts that every anvil gives coins to; public knowledge.
RICH_KEY: Final = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
_LISTENING: Final = re.compile("Listening on ")


class Anvil:
    """One `anvil`; with *state*, a file that it keeps its chain in, it can be started again."""

    def __init__(
        self,
        *,
        port: int = 0,
        state: Path | None = None,
        genesis: Path | None = None,
        mines: bool = True,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        command = [str(ANVIL_PATH), "--host", LOOPBACK, "--port", str(self.port)]
        command += ["--state", str(state), "--state-interval", "1"] if state else []
        command += ["--init", str(genesis)] if genesis else []
        command += [] if mines else ["--no-mining"]
        self.process = LoggedProcess("anvil", command)
        self.process.wait_for_line(_LISTENING, START_TIMEOUT)

    def ask(self, method: str, *params: object) -> Any:
        """Ask anything, also what only anvil understands: anvil_*, evm_*."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        request = urllib.request.Request(  # noqa: S310 - our own address
            self.url, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=ANSWER_TIMEOUT) as answer:
            content = json.load(answer)
        if "error" in content:
            raise PeerError(f"{method}: {content['error']}")
        return content["result"]

    def mine(self, count: int = 1) -> None:
        """Make blocks."""
        self.ask("anvil_mine", hex(count))

    def kill(self) -> None:
        """End without warning; what was not saved is lost."""
        self.process.kill()

    def stop(self) -> None:
        """End, and save the state."""
        self.process.stop(patience=10.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.stop()
