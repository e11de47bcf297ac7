"""What the parts of the engine share: who we are, what waits for an answer, who is online."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, TypeAlias

from shoal.core.records import dataclass
from shoal.swarm.effects import Failed, OpenChannel, Work
from shoal.swarm.errors import SwarmError, SwarmFaultError
from shoal.swarm.leaving import Farewells
from shoal.swarm.messenger import LineOpened, NoticeArrived

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shoal.core import AccountId, ConversationId, DeviceId, Entropy
    from shoal.swarm.conversation import Self
    from shoal.swarm.effects import Effect
    from shoal.swarm.messenger import Messenger, MessengerEffect
    from shoal.swarm.states import States

Then: TypeAlias = "Callable[[object, float], list[Effect]]"
Opened: TypeAlias = "Callable[[int, float], list[Effect]]"
OpenFailed: TypeAlias = "Callable[[bool, float], list[Effect]]"


@dataclass(slots=True)
class Waiting:
    """Who goes on when an operation of the host has ended."""

    then: Then
    failed: Callable[[Exception, float], list[Effect]]


@dataclass(slots=True)
class WaitingChannel:
    """Who goes on when a channel is open, or is not."""

    opened: Opened
    failed: OpenFailed


@dataclass(slots=True)
class Context:
    """Shared by all conversations of an account on this device."""

    me: Self
    entropy: Entropy
    wall_offset: float
    messenger: Messenger
    states: States = field(init=False)  # which need the context themselves
    online: dict[AccountId, set[DeviceId]] = field(default_factory=dict)
    waiting: dict[int, Waiting] = field(default_factory=dict)
    channels: dict[int, WaitingChannel] = field(default_factory=dict)
    last_op: int = 0
    wall_begun: int = 0  # when we began a conversation last
    farewells: Farewells = field(init=False)

    def __post_init__(self) -> None:
        self.farewells = Farewells(self.me.account)

    def new_op(self) -> int:
        """Return a number that no operation has had."""
        self.last_op += 1
        return self.last_op

    def wall_now(self, now: float) -> float:
        """Return the time of day."""
        return now + self.wall_offset

    def wall_ms(self, now: float) -> int:
        """Return the time of day in milliseconds, as records have it."""
        return int(self.wall_now(now) * 1_000)

    def wall_begin(self, now: float) -> float:
        """Return a time to begin a conversation at: in one second two would be the same one."""
        self.wall_begun = max(int(self.wall_now(now)), self.wall_begun + 1)
        return self.wall_begun

    @staticmethod
    def fail(op: int) -> Callable[[Exception, float], list[Effect]]:
        """Return what tells the caller that a job of command *op* raised."""

        def failed(error: Exception, now: float) -> list[Effect]:
            if isinstance(error, SwarmError):
                return [Failed(op, error)]
            fault = SwarmFaultError(error)  # of ours, not of what was asked
            fault.__cause__ = error
            return [Failed(op, fault)]

        return failed

    def work(
        self,
        conversation: ConversationId,
        job: Callable[[], object],
        then: Then,
        failed: Callable[[Exception, float], list[Effect]],
    ) -> Work:
        """Run *job* where the conversation may be touched; *then* goes on with its result."""
        op = self.new_op()
        self.waiting[op] = Waiting(then, failed)
        return Work(op, conversation, job)

    def open(self, device: DeviceId, name: str, opened: Opened, failed: OpenFailed) -> OpenChannel:
        """Open a channel; *failed* hears whether the device declined it."""
        op = self.new_op()
        self.channels[op] = WaitingChannel(opened, failed)
        return OpenChannel(op, device, name)

    def is_online(self, account: AccountId, device: DeviceId) -> bool:
        """Whether a device is announced."""
        return device in self.online.get(account, ())

    def own_effects(self, effects: Sequence[MessengerEffect]) -> list[Effect]:
        """Return what the messenger wants of the host; sending brings nothing else."""
        return [effect for effect in effects if not isinstance(effect, NoticeArrived | LineOpened)]
