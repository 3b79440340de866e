"""Benchmarks: each measures seam beside a peer in one run and prints the ratio. Nothing here is a timed test."""
