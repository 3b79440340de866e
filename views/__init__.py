"""State built from topics: memory image, RocksDB state store, SQLite with full text; and reads that see their own writes."""
