"""What the simulator raises.

SimError
├── ScenarioError        a scenario asks for something that cannot be simulated
├── AddressTakenError    two hosts of one realm want the same address
└── EngineSpinsError     an engine's deadline did not move when it was advanced
"""

from shoal.core import ShoalError


class SimError(ShoalError):
    """Base of the simulator's errors."""


class ScenarioError(SimError):
    """The scenario cannot be simulated. Change the setting that the message names."""


class AddressTakenError(SimError):
    """Another host of the same realm has this address. Give each host its own."""


class EngineSpinsError(SimError):
    """An engine was advanced to its deadline and wants that moment again: a bug in the engine."""
