"""Signed and encrypted values, and certificates, over any backend of DHT operations."""
