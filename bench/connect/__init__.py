"""Connections: a channel beside raw TLS, and from "connect" to a channel beside jamid."""
