"""The order in which a `java.util.HashMap` gives its entries, which is the order of an hstore's keys."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


@lru_cache(maxsize=4096)
def string_hash(text: str) -> int:
    """`String.hashCode` as an unsigned 32-bit number."""
    units = text.encode("utf-16-be", "surrogatepass")
    value = 0
    for index in range(0, len(units), 2):
        value = (31 * value + (units[index] << 8 | units[index + 1])) & 0xFFFFFFFF
    return value


def hash_order(keys: Sequence[Key], hashes: Sequence[int], capacity: int = 16) -> list[Key]:
    """Distinct keys in a HashMap's order after their insertion in the given order.

    Args:
        keys: As they were put.
        hashes: Their `hashCode`.
        capacity: The constructor's initial capacity.
    """
    size = 1 << max(capacity - 1, 0).bit_length()
    # The table doubles when more than three quarters of it are full.
    while len(keys) > int(size * 0.75):
        size *= 2
    buckets = [((code ^ (code >> 16)) & (size - 1), place) for place, code in enumerate(hashes)]
    return [keys[place] for _, place in sorted(buckets)]
