"""Which pair of routers connects by which path, and how fast."""
