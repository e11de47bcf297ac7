"""Channels on one connection: the multiplexer of Jami's connections, byte by byte."""

from shoal.net.mux.engine import MuxEngine, MuxStats

__all__ = ["MuxEngine", "MuxStats"]
