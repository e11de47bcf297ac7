"""How soon `shoal up` can be used, and what it takes when nothing happens."""
