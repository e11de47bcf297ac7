"""One account's device as an engine without I/O, made of small ones."""
