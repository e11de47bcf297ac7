"""Shoal beside its peers, measured: `python -m bench NAME`."""
