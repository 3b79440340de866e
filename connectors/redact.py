"""Keeps secrets out of whatever is shown: values by their key, texts by the secrets that were seen.

A worker's messages and stack traces quote configured values, so masking by key is not enough: every configuration
that passes through the client is learnt, and its secrets are struck out of every text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Final

from cdc.properties import is_secret_name

MASK: Final = "******"

_REFERENCE = re.compile(r"\$\{[^}]*\}")
_MASKED = re.compile(r"\*{3,}|\[hidden\]|<(redacted|hidden|masked)>", re.IGNORECASE)
_IN_URL = re.compile(r"(://[^/\s:@]*:)(?!\$\{)[^/\s@]+(@)")
_IN_PARAMETER = re.compile(
    r"((?:password|passwd|pwd|secret|token|api_?key)\s*=\s*)(?:\"(?!\$\{)[^\"]*\"|(?!\$\{|\")[^&;,\s'\"]+)",
    re.IGNORECASE,
)
# A short secret is often an ordinary word ("postgres"); inside a longer word it is not the secret.
_SHORT: Final = 8


def is_reference(value: str) -> bool:
    """Whether a value is, or holds, a reference that the worker's config providers resolve."""
    return _REFERENCE.search(value) is not None


def is_masked(value: str) -> bool:
    """Whether a value is what some worker or tool shows in place of a secret."""
    return _MASKED.fullmatch(value.strip()) is not None


class Redaction:
    """The secrets that one run has seen.

    Args:
        environ: Where `${env:NAME}` is looked up, so that a resolved secret in a trace is struck out too.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._secrets: set[str] = set()
        self._secret_keys: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, config: Mapping[str, str | None]) -> None:
        """Remember the secrets of a configuration."""
        for key, value in config.items():
            if value and self.is_secret(key):
                self._remember(value)

    def learn_keys(self, keys: Iterable[str]) -> None:
        """Remember keys that a plugin declares as PASSWORD whatever their name."""
        self._secret_keys.update(keys)

    def _remember(self, value: str) -> None:
        reference = re.fullmatch(r"\$\{env:([^}]*)\}", value.strip())
        if reference:
            value = self._environ.get(reference[1], "")
        if not value or is_reference(value) or is_masked(value) or value in self._secrets:
            return
        self._secrets.update(secret for secret in (value, value.strip()) if secret)
        self._pattern = None

    def is_secret(self, key: str) -> bool:
        """Whether the value of a key must not be shown."""
        return key in self._secret_keys or is_secret_name(key)

    def value(self, key: str, value: str) -> str:
        """A value as it may be shown: references stay, secrets do not."""
        if self.is_secret(key) and value and not _REFERENCE.fullmatch(value.strip()):
            return MASK
        return self.text(value)

    def config(self, config: Mapping[str, str]) -> dict[str, str]:
        """A configuration as it may be shown."""
        return {key: self.value(key, value) for key, value in config.items()}

    def text(self, text: str) -> str:
        """A text without the secrets seen so far, and without passwords in URLs and parameters."""
        if self._pattern is None and self._secrets:
            alternatives = (
                rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])" if len(secret) <= _SHORT else re.escape(secret)
                for secret in sorted(self._secrets, key=len, reverse=True)
            )
            self._pattern = re.compile("|".join(alternatives))
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        return _IN_PARAMETER.sub(rf"\1{MASK}", _IN_URL.sub(rf"\1{MASK}\2", text))
