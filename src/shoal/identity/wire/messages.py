"""Instant messages over the DHT, which 13.7 sends while it cannot connect.

A value of type 3 in the inbox of the receiver's device, signed and encrypted. The receiver answers
with a message of the same id and no text, at *its own* inbox, encrypted for the sender.

Source: OpenDHT default_types.h, ImMessage; Jami message_engine; reference section 3.7.
"""

from __future__ import annotations

from typing import Final

from shoal.dht import contents

INSTANT_MESSAGE_TYPE: Final = contents.IM_MESSAGE
InstantMessage = contents.ImMessage


def acknowledge(message: InstantMessage) -> InstantMessage:
    """Return what tells the sender of *message* that it has arrived."""
    return InstantMessage(message.id, date=message.date)
