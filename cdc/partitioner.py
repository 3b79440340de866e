"""Kafka's default partitioner: which partition a key is in.

Source: `org.apache.kafka.common.utils.Utils.murmur2` and `BuiltInPartitioner.partitionForKey`; librdkafka's
`murmur2_random` computes the same.
"""

from __future__ import annotations

from typing import Final

_MASK: Final = 0xFFFFFFFF
_M: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 hash of Kafka, unsigned."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for index in range(0, whole, 4):
        k = int.from_bytes(data[index : index + 4], "little") * _M & _MASK
        k ^= k >> 24
        h = (h * _M & _MASK) ^ (k * _M & _MASK)
    rest = data[whole:]
    if rest:
        h ^= int.from_bytes(rest, "little")
        h = h * _M & _MASK
    h ^= h >> 13
    h = h * _M & _MASK
    return h ^ (h >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that a producer with Kafka's default partitioner puts a key into.

    Args:
        key: The key's bytes.
        partitions: How many the topic has.
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions
