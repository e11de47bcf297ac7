"""The prefix hash tree: an index over the DHT (reference section 4.3)."""
