"""Debezium's transforms (3.6), one file each."""
