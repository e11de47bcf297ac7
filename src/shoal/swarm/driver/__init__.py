"""Conversations on disk."""

from shoal.swarm.driver.store import DiskStore, RepositoryError

__all__ = ["DiskStore", "RepositoryError"]
