"""bool: `t` and `f`."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from cdc.model.schema import BOOLEAN
from cdc.values.codec import Codec


class _Words(dict[bytes, Any]):
    def __missing__(self, text: bytes) -> NoReturn:
        raise ValueError("text is not a boolean")


BOOL: Final = Codec(
    BOOLEAN, _Words({b"t": b"true", b"f": b"false"}).__getitem__, _Words({b"t": True, b"f": False}).__getitem__,
    filler=False,
)  # fmt: skip
