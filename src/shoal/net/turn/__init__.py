"""TURN clients (RFC 8656, RFC 6062): addresses on a server that relays, as engines."""
