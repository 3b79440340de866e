"""Transforms of our own, which a Connect worker does not have."""
