"""Conversations: git repositories that their members' devices keep equal, without a server.

`Conversation` is the heart: what is said becomes a signed commit, what peers send is judged commit
by commit, and histories that parted are merged.
"""

from shoal.swarm.commits import Commit
from shoal.swarm.conversation import Conversation
from shoal.swarm.store import GitStore, MemoryStore, ObjectKind
from shoal.swarm.validation import Standing

__all__ = ["Commit", "Conversation", "GitStore", "MemoryStore", "ObjectKind", "Standing"]
