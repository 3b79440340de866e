"""Value codecs: the text that Postgres sends, as Connect values and as JSON, one file per type family."""
