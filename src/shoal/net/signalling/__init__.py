"""How two devices agree on a connection: offers and answers, whoever carries them."""

from shoal.net.signalling.carrier import DHT_USER_TYPE, Carrier, peer_key
from shoal.net.signalling.request import PeerRequest

__all__ = ["DHT_USER_TYPE", "Carrier", "PeerRequest", "peer_key"]
