"""How Debezium's classes read and check their options.

They take the texts as they stand in the file, blanks included, and check them when they are configured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cdc.model.javaerrors import invalid_value
from cdc.transforms.configdef import Check, LateCheck, split, trim
from cdc.transforms.javaregex import JavaPattern, UntranslatablePattern


def is_required(text: str | None) -> str | None:
    """`Field.isRequired`."""
    return None if text is not None and trim(text) else "A value is required"


def is_regex(text: str | None) -> str | None:
    """`Field.isRegex`."""
    if text is None:
        return None
    try:
        JavaPattern(text)
    except UntranslatablePattern as error:
        return f"the regular expression {error}, which Connect takes and this engine cannot carry out"
    except ValueError as error:
        return f"A valid regular expressions is expected, but {error}"
    return None


def is_list_of_regex(text: str | None) -> str | None:
    """`Field.isListOfRegex`."""
    for part in re.split(r"(?<!\\),", text or ""):
        complaint = is_regex(part)
        if complaint is not None:
            return complaint.replace(
                "A valid regular expressions is expected",
                "A comma-separated list of valid regular expressions is expected",
            )
    return None


def is_positive_integer(text: str | None) -> str | None:
    """`Field.isPositiveInteger`."""
    if text is None or (re.fullmatch(r"[+-]?[0-9]+", trim(text)) and int(text) > 0):
        return None
    return "A positive, non-zero integer value is expected"


def no_empty_elements(text: str | None) -> str | None:
    """`Field.notContainEmptyElements`."""
    return "Empty string element(s) not permitted" if text is not None and "" in listed(text) else None


def no_blanks_in_elements(text: str | None) -> str | None:
    """`Field.notContainSpaceInAnyElement`."""
    if text is not None and any(" " in element for element in listed(text)):
        return "Element(s) containing space not permitted"
    return None


def literal_of(words: tuple[str, ...], *, required: bool) -> LateCheck:
    """`EnumRecommender.validate`: case and surrounding blanks do not matter."""

    def check(text: str | None) -> str | None:
        if text is None:
            return f"Value must be one of {', '.join(words)}" if required else None
        return None if trim(text).lower() in words else f"Value must be one of {', '.join(words)}"

    return check


def literal_checked_by_worker(*words: str) -> Check:
    """The same, checked by the worker's parser (`withConfigDefValidation`)."""

    def check(name: str, value: str | None) -> None:
        if value is not None and trim(value).lower() not in words:
            raise invalid_value(value, name, f"Value must be one of {', '.join(words)}")

    return check


def listed(text: str) -> list[str]:
    """`Configuration.getList`: split at commas, trailing empty ones gone, each trimmed."""
    return [trim(part) for part in split(text, ",")]


def literal(texts: Mapping[str, str], name: str, words: tuple[str, ...], default: str | None) -> str | None:
    """An enumerated option: the word that the text stands for; None for an unknown one."""
    text = texts.get(name, default)
    word = None if text is None else trim(text).lower()
    return word if word in words else None


BLANK: Final = re.compile(r"[\x00-\x20]*")


def blank(text: str | None) -> bool:
    """`Strings.isNullOrBlank`."""
    return text is None or BLANK.fullmatch(text) is not None
