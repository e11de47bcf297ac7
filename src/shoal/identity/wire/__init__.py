"""Bytes to messages and back: one module per thing that an account says."""
