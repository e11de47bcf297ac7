"""Connections over real sockets: `Connections` and its `Channel` streams."""
