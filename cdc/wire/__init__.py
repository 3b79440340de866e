"""The replication protocol as bytes: frames, pgoutput messages, changes, COPY text. Pure and total.

Malformed bytes give `ProtocolError` with tag, offset and length, and nothing else.
"""
