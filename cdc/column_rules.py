"""Masks, hashes, truncation and propagated types: the column options of Debezium.

A rule wraps the codec of a column, so that the composed renderer and the plain one follow it alike.
Source: Debezium documentation, Postgres connector, "column.mask.hash...", "column.mask.with...", "column.truncate.to...",
"column.propagate.source.type", "datatype.propagate.source.type".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from cdc.errors import ConfigError, Problem
from cdc.jdbc import JdbcColumn
from cdc.model.schema import Schema, Type
from cdc.selection import compile_patterns
from cdc.values.codec import Codec
from cdc.values.jsontext import quote_text

_MASK: Final = re.compile(r"column\.mask\.with\.(\d+)\.chars")
_TRUNCATE: Final = re.compile(r"column\.truncate\.to\.(\d+)\.chars")
_HASH: Final = re.compile(r"column\.mask\.hash\.(v2\.)?([^.]+)\.with\.salt\.(.+)", re.DOTALL)
# Names of `java.security.MessageDigest` -> those of `hashlib`.
_ALGORITHMS: Final = {
    "MD5": "md5", "SHA": "sha1", "SHA-1": "sha1", "SHA-224": "sha224", "SHA-256": "sha256", "SHA-384": "sha384",
    "SHA-512": "sha512", "SHA-512/224": "sha512_224", "SHA-512/256": "sha512_256", "SHA3-224": "sha3_224",
    "SHA3-256": "sha3_256", "SHA3-384": "sha3_384", "SHA3-512": "sha3_512",
}  # fmt: skip
_ORDER: Final = ("truncate", "mask", "propagate", "hash")

Change = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        option: The option's name, for messages.
        kind: `truncate`, `mask`, `propagate` or `hash`.
        patterns: Of `schema.table.column`, or of `schema.table.type`.
        by_type: Whether the patterns name types.
        length: Characters of a mask or a truncation.
        digest: Of a hash: text -> hexadecimal text.
    """

    option: str
    kind: str
    patterns: Sequence[re.Pattern[str]]
    by_type: bool = False
    length: int = 0
    digest: Change | None = None


@dataclass(frozen=True, slots=True)
class Ruled:
    """What the rules make of a column.

    Attributes:
        codec: Its codec.
        null: What stands for NULL; None for null.
        change: What is done to each text; None where texts stay.
        equal: Whether all texts become the same.
        option: The option that changes the texts.
    """

    codec: Codec
    null: Any = None
    change: Change | None = None
    equal: bool = False
    option: str = ""

    def of(self, value: Any) -> Any:
        """What the rules make of a value."""
        return self.change(value) if self.change is not None and isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class ColumnRules:
    """All rules of a configuration.

    Attributes:
        rules: In the order in which they are looked at.
        strict: Whether only the first one that matches a column applies, as in Debezium.
    """

    rules: tuple[Rule, ...] = ()
    strict: bool = False

    def apply(self, table: str, name: str, column: JdbcColumn, codec: Codec) -> Ruled:
        """Wrap a column's codec.

        Args:
            table: `schema.table`.
            name: The column's name.
            column: What the driver says of it.
            codec: Its codec.

        Raises:
            ConfigError: Its type has no room for the mask or hash that the configuration asks for (safe mode).
        """
        matching = [rule for rule in self.rules if _matches(rule, table, name, column)]
        if self.strict:
            return self._first(matching[:1], name, column, codec)
        # A rule that adds to the schema never hides one that hides the value.
        hiding = [rule for rule in matching if rule.kind in ("mask", "hash")][:1]
        cutting = [rule for rule in matching if rule.kind == "truncate"][:1]
        adding = [rule for rule in matching if rule.kind == "propagate"][:1]
        if hiding and not column.character:
            raise ConfigError(
                [Problem(hiding[0].option, f"matches {table}.{name}, a {column.type_name.lower()}: only character columns can be masked")],
                hint="name the character columns, or leave the column out with column.exclude.list",
            )  # fmt: skip
        return self._first([*adding, *(hiding or cutting)], name, column, codec)

    def _first(self, rules: Sequence[Rule], name: str, column: JdbcColumn, codec: Codec) -> Ruled:
        ruled = Ruled(codec)
        for rule in rules:
            match rule.kind:
                case "truncate":
                    ruled = self._truncated(rule, ruled.codec)
                case "mask":
                    ruled = self._masked(rule, column, ruled.codec)
                case "hash":
                    ruled = self._hashed(rule, column, ruled.codec)
                case _:
                    ruled = replace(ruled, codec=_with_parameters(ruled.codec, source_parameters(name, column)))
        return ruled

    def _truncated(self, rule: Rule, codec: Codec) -> Ruled:
        codec = _with_parameters(codec, {"truncateLength": str(rule.length)})
        if codec.schema.type is not Type.STRING:
            return Ruled(codec)
        cut = cutter(rule.length, halves=self.strict)
        return Ruled(_changed(codec, cut, markers=self.strict), change=cut, option=rule.option)

    def _masked(self, rule: Rule, column: JdbcColumn, codec: Codec) -> Ruled:
        codec = _with_parameters(codec, {"masked": "true"})
        if not column.character:
            return Ruled(codec)
        mask = "*" * rule.length
        fragment = quote_text(mask).encode()
        masked = replace(codec, to_json=lambda _text: fragment, to_value=lambda _text: mask)
        ruled = Ruled(masked, change=lambda _text: mask, equal=True, option=rule.option)
        if not self.strict:
            return ruled
        return replace(ruled, codec=replace(masked, unavailable=mask, filler=mask), null=mask)

    def _hashed(self, rule: Rule, column: JdbcColumn, codec: Codec) -> Ruled:
        codec = _with_parameters(codec, {"masked": "true"})
        if not column.character or rule.digest is None:
            return Ruled(codec)
        digest, length = rule.digest, column.length

        def change(text: str) -> str:
            return digest(text)[:length]

        return Ruled(_changed(codec, change, markers=self.strict), change=change, option=rule.option)


def _matches(rule: Rule, table: str, name: str, column: JdbcColumn) -> bool:
    if rule.kind == "truncate" and rule.length >= column.length:
        return False
    subject = f"{table}.{column.type_name if rule.by_type else name}"
    return any(pattern.fullmatch(subject) for pattern in rule.patterns)


def _changed(codec: Codec, change: Change, *, markers: bool) -> Codec:
    """A codec of strings whose values are changed; with `markers`, what stands for absent values too."""
    to_value = codec.to_value

    def to_changed(text: bytes) -> Any:
        value = to_value(text)
        return None if value is None else change(value)

    def to_json(text: bytes) -> bytes:
        value = to_value(text)
        return b"null" if value is None else quote_text(change(value)).encode()

    def marker(value: Any) -> Any:
        return change(value) if markers and isinstance(value, str) else value

    return replace(
        codec, to_value=to_changed, to_json=to_json, unavailable=marker(codec.unavailable), filler=marker(codec.filler)
    )


def _with_parameters(codec: Codec, parameters: Mapping[str, str]) -> Codec:
    schema: Schema = codec.schema.replace(parameters={**codec.schema.parameters, **parameters})
    # A codec of structs makes values of the schema that it is bound to.
    return replace(codec, schema=schema, to_value=codec.to_value if codec.bind is None else codec.bind(schema))


def source_parameters(name: str, column: JdbcColumn) -> dict[str, str]:
    """What a propagated type adds to a schema."""
    return {
        "__debezium.source.column.type": column.type_name,
        "__debezium.source.column.length": str(column.length),
        "__debezium.source.column.scale": str(column.scale),
        "__debezium.source.column.name": name,
    }


def cutter(length: int, *, halves: bool) -> Change:
    """Cuts a text to a number of UTF-16 units, as `String.substring`.

    Args:
        length: In UTF-16 units.
        halves: Whether a surrogate pair may be cut in two; else the whole character goes.
    """

    def cut(text: str) -> str:
        if len(text) <= length and text.isascii():
            return text
        units = text.encode("utf-16-le", "surrogatepass")
        if len(units) <= 2 * length:
            return text
        kept = units[: 2 * length]
        if not halves and length and 0xD8 <= kept[-1] <= 0xDB:
            kept = kept[:-2]
        return kept.decode("utf-16-le", "surrogatepass")

    return cut


def _modified_utf8(text: str) -> bytes:
    """Java's modified UTF-8: NUL in two bytes, each half of a surrogate pair in three."""
    pieces = []
    for character in text:
        if character == "\0":
            pieces.append(b"\xc0\x80")
        elif character > "\uffff":
            code = ord(character) - 0x10000
            pair = chr(0xD800 + (code >> 10)) + chr(0xDC00 + (code & 0x3FF))
            pieces.append(pair.encode("utf-8", "surrogatepass"))
        else:
            pieces.append(character.encode("utf-8", "surrogatepass"))
    return b"".join(pieces)


def serialized_string(text: str) -> bytes:
    """A String in the Java Object Serialization Stream Protocol, which version 1 of the hash digests."""
    data = _modified_utf8(text)
    if len(data) <= 0xFFFF:
        return b"\xac\xed\x00\x05\x74" + len(data).to_bytes(2, "big") + data
    return b"\xac\xed\x00\x05\x7c" + len(data).to_bytes(8, "big") + data


def _digest(algorithm: str, salt: str, *, utf8: bool) -> Change:
    base = hashlib.new(_ALGORITHMS[algorithm.upper()], salt.encode(), usedforsecurity=False)

    def digest(text: str) -> str:
        hasher = base.copy()
        hasher.update(text.encode("utf-8", "replace") if utf8 else serialized_string(text))
        return hasher.hexdigest()

    return digest


def column_rules(properties: Mapping[str, Any], *, strict: bool) -> ColumnRules:
    """Read the rules of a configuration.

    Args:
        properties: All options as text.
        strict: Debezium's way of choosing among rules.

    Raises:
        ConfigError: An algorithm that there is not.
    """
    rules, problems = [], []
    for option, text in properties.items():
        if text is None:
            continue
        try:
            rule = _rule(option, str(text))
        except ValueError as error:
            problems.append(Problem(option, str(error)))
            continue
        if rule is not None:
            rules.append(rule)
    if problems:
        raise ConfigError(problems)
    return ColumnRules(tuple(sorted(rules, key=lambda rule: (_ORDER.index(rule.kind), rule.by_type))), strict)


def _rule(option: str, text: str) -> Rule | None:
    if option in ("column.propagate.source.type", "datatype.propagate.source.type"):
        return Rule(option, "propagate", compile_patterns(text), by_type=option.startswith("datatype"))
    if (match := _MASK.fullmatch(option)) is not None:
        return Rule(option, "mask", compile_patterns(text), length=int(match[1]))
    if (match := _TRUNCATE.fullmatch(option)) is not None:
        return Rule(option, "truncate", compile_patterns(text), length=int(match[1]))
    if (match := _HASH.fullmatch(option)) is not None:
        if match[2].upper() not in _ALGORITHMS:
            raise ValueError(f"there is no hash algorithm {match[2]}; there are {', '.join(_ALGORITHMS)}")
        digest = _digest(match[2], match[3], utf8=match[1] is not None)
        return Rule(option, "hash", compile_patterns(text), digest=digest)
    return None
