"""Shoal: serverless peer-to-peer communication."""
