"""Conversations on disk, and the threads that work on them."""

from shoal.swarm.driver.first import FirstStore
from shoal.swarm.driver.index import Index
from shoal.swarm.driver.index_ledger import IndexLedger
from shoal.swarm.driver.index_questions import (
    Hit,
    Reaction,
    Said,
    Shown,
    latest,
    page,
    page_after,
    page_around,
    said_after,
    search,
    seen,
    shown,
    unread,
)
from shoal.swarm.driver.jobs import ConversationJobs
from shoal.swarm.driver.store import DiskStore
from shoal.swarm.driver.tidying import is_untidy, tidy

__all__ = [
    "ConversationJobs",
    "DiskStore",
    "FirstStore",
    "Hit",
    "Index",
    "IndexLedger",
    "Reaction",
    "Said",
    "Shown",
    "is_untidy",
    "latest",
    "page",
    "page_after",
    "page_around",
    "said_after",
    "search",
    "seen",
    "shown",
    "tidy",
    "unread",
]
