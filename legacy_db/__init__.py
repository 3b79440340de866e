"""The old database: samples of one, what is in it, and the way out of it."""
