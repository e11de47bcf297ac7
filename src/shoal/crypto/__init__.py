"""Keys, certificates and sealed boxes: pure functions over bytes."""
