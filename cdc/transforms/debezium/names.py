"""`schema.name.adjustment.mode` and `field.name.adjustment.mode`: names that Avro takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

Adjust = Callable[[str], str]

ADJUSTMENT_MODES: Final = ("none", "avro", "avro_unicode")


def adjuster(mode: str | None, *, dots: bool) -> Adjust:
    """The function that adjusts names.

    Args:
        mode: none, avro or avro_unicode; anything else counts as none.
        dots: Whether dots may stay (schema names) or not (field names).
    """
    if mode not in ("avro", "avro_unicode"):
        return lambda name: name
    escaped = mode == "avro_unicode"

    def adjust(name: str) -> str:
        out = []
        for at, char in enumerate(name):
            letter = char.isascii() and char.isalpha()
            valid = letter or (char == "_" and not escaped)
            if at:
                valid = valid or (char.isascii() and char.isdigit()) or (dots and char == ".")
            if valid:
                out.append(char)
            elif escaped:
                digits = f"{ord(char):x}"
                out.append("_u" + ("00" + digits if len(digits) <= 2 else digits))
            else:
                out.append("_" + char if not at and char.isdigit() else "_")
        return "".join(out)

    return adjust
