"""The outside world of names: HTTP, SQLite, the chain. See `shoal.names` for what is public."""
