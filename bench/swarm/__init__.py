"""Conversations beside jamid's: a text, a first clone, opening, memory."""
