"""What an answer of a Connect worker means: whether to ask again, and its text for people. Pure.

    409 "already exists"                            stands: the caller's business
    409 anything else                               the cluster rebalances: again
    500 "a rebalance is expected"                   again
    500 "IO Error trying to forward REST request"   again; the forwarded request may have landed
    500 "Request timed out"                         again; it may have landed
    503, and HTML with 404 while the worker starts  again

Measured on Connect 4.3.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from cdc.errors import ConfigError
from connectors.connect_types import ErrorBody

SHORTENED: Final = 600  # characters of a worker's text; "available connectors are" lists every plugin of the worker


class Verdict(Enum):
    """What to do about an answer."""

    STANDS = "stands"
    AGAIN = "again"  # it was not carried out
    LOST = "lost"  # it may have been carried out


# Measured: Jetty refuses paths that hold an encoded slash, backslash or percent sign; braces answer 500 after the deed.
_UNADDRESSABLE: Final = frozenset("/\\%{}")


def check_name(name: str) -> None:
    r"""Refuse connector names that can be created and then not addressed.

    Raises:
        ConfigError: The name is empty, has outer blanks, or holds one of `/ \ % { }` or a control character.
    """
    if not name or name != name.strip() or name in (".", "..") or not name.isprintable() or _UNADDRESSABLE & set(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a connector: none of / \\ % {{ }}, no outer blanks, no control characters",
            hint="Connect would create it, and then no request could address it",
        )


def shortened(text: str) -> str:
    """A worker's text on one paragraph, without the list of everything that is installed."""
    text = text.partition(", available connectors are:")[0]
    text = text.partition("\nYou can also find the above list")[0]
    return text if len(text) <= SHORTENED else text[: SHORTENED - 1] + "…"


def error_body(body: bytes) -> ErrorBody:
    """The body of an error, empty where it is not JSON: Jetty and security extensions answer in HTML or plain text."""
    try:
        return msgspec.json.decode(body, type=ErrorBody)
    except msgspec.DecodeError:
        return ErrorBody()


def text_of(body: bytes) -> str:
    """What an error says."""
    message = error_body(body).message
    if message is not None:
        return message
    text = body.decode("utf-8", "replace").strip()
    if text.startswith("<"):
        title = text.partition("<title>")[2].partition("</title>")[0]
        return title or "a page of HTML"
    return text or "no text"


def verdict(status: int, body: bytes) -> Verdict:
    """Whether an answer is to be asked for again: the table at the head of this file."""
    if status < 400:
        return Verdict.STANDS
    text = text_of(body)
    if status == 409:
        return Verdict.STANDS if "already exists" in text else Verdict.AGAIN
    if status == 503 or (status == 500 and "rebalance" in text):
        return Verdict.AGAIN
    if status == 500 and ("forward REST request" in text or "Request timed out" in text):
        return Verdict.LOST
    if status == 404 and body.lstrip().startswith(b"<"):
        return Verdict.AGAIN
    return Verdict.STANDS
