"""What goes wrong with labs.

LabError
├── PeopleError         the people of a lab are not named as people can be
├── ForeignHomeError    a home in the folder is of no lab
└── LabSlowError        something did not happen in time
"""

from __future__ import annotations

from shoal.core import ShoalError


class LabError(ShoalError):
    """Base of the errors of labs."""


class PeopleError(LabError):
    """The people of a lab have different names of 3 to 32 letters, digits, - and _."""


class ForeignHomeError(LabError):
    """A home where somebody of the lab would live is of no lab. Choose another --folder.

    A lab writes settings into homes, and uses the accounts that it finds there.
    """


class LabSlowError(LabError):
    """Something in the lab did not happen in time. The machine may be too busy; try again."""
