"""Instant messages over the DHT."""

from __future__ import annotations

from shoal.identity.wire.messages import INSTANT_MESSAGE_TYPE, InstantMessage, acknowledge

# Sent by jamid 13.7; reference, appendix A.4.
SAMPLE = bytes.fromhex(
    "86a26964cf0018e7d1b9d0cd46a36d7367a968656c6c6f20646874a464617465ce6b00dd16a673746174757300"
    "a86461746174797065aa746578742f706c61696ea96d657461646174617380"
)


def test_what_jami_sent_is_read_and_written() -> None:
    """Byte for byte."""
    message = InstantMessage.unpack(SAMPLE)

    assert INSTANT_MESSAGE_TYPE == 3
    assert message.text == "hello dht"
    assert message.data_type == "text/plain"
    assert message.pack() == SAMPLE


def test_an_acknowledgement_has_the_id_and_no_text() -> None:
    """Put by the receiver into its own inbox."""
    message = InstantMessage.unpack(SAMPLE)

    assert acknowledge(message).id == message.id
    assert acknowledge(message).text == ""
