r"""`java.util.regex` in Python's `re`.

A pattern is rewritten piece by piece: what both mean alike passes, what has another spelling is respelt (`(?<n>`,
`\h`, `\p{Alpha}`, `\Q..\E`, `.`), and what Python cannot express is refused, never changed silently. `\d`, `\w`
and case folding keep Java's ASCII meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NoReturn

from cdc.model.javaerrors import JavaError

_CLASSES: Final = {
    "Lower": "a-z", "Upper": "A-Z", "ASCII": r"\x00-\x7f", "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9",
    "Punct": r"!-/:-@\[-`{-~", "Graph": "!-~", "Print": " -~", "Blank": r" \t", "Cntrl": r"\x00-\x1f\x7f",
    "XDigit": "0-9a-fA-F", "Space": r" \t\n\x0b\f\r",
}  # fmt: skip
_HORIZONTAL: Final = r" \t\xa0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000"
_VERTICAL: Final = r"\n\x0b\f\r\x85\u2028\u2029"
_SIMPLE_ESCAPES: Final = {"t": r"\t", "n": r"\n", "r": r"\r", "f": r"\f", "a": r"\x07", "e": r"\x1b"}
_QUANTIFIER: Final = re.compile(r"(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})[?+]?")
_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9]*")
_FLAGS: Final = re.compile(r"\(\?([a-zA-Z-]*)([:)])")


_BEFORE_LAST_LINE_BREAK: Final = r"(?=(?:\r\n|[\n\r\x85\u2028\u2029])?\Z)"


class UntranslatablePattern(ValueError):
    """A regular expression that Java takes and Python's `re` cannot express."""


class JavaPattern:
    """A compiled Java regular expression.

    Args:
        text: In Java's dialect.

    Raises:
        ValueError: The text is not a regular expression; `UntranslatablePattern` where only Python cannot take it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        translated = _Translator(text).translate()
        try:
            self.compiled = re.compile(translated, re.ASCII)
        except re.error as error:
            raise UntranslatablePattern(f"{text!r}: {error.msg}") from error

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        return self.compiled.fullmatch(text) is not None

    def replace_first(self, text: str, replacement: str) -> str:
        """`Matcher.replaceFirst`: the first find from the start, its replacement expanded.

        Raises:
            JavaError: The replacement refers to what the pattern does not have.
        """
        found = self.compiled.search(text)
        if found is None:
            return text
        return text[: found.start()] + expand(found, replacement) + text[found.end() :]

    def replace_all(self, text: str, replacement: str) -> str:
        """`Matcher.replaceAll`.

        Raises:
            JavaError: The replacement refers to what the pattern does not have.
        """
        return self.compiled.sub(lambda found: expand(found, replacement), text)


def expand(found: re.Match[str], replacement: str) -> str:
    """`Matcher.appendReplacement`'s reading of a replacement: `$1`, `${name}` and a backslash before any character.

    Raises:
        JavaError: IllegalArgumentException or IndexOutOfBoundsException with Java's text.
    """
    out: list[str] = []
    index, names = 0, found.re.groupindex
    while index < len(replacement):
        char = replacement[index]
        if char == "\\":
            if index + 1 == len(replacement):
                raise _illegal("character to be escaped is missing")
            out.append(replacement[index + 1])
            index += 2
        elif char == "$":
            group, index = _group_reference(replacement, index + 1, found.re.groups, names)
            out.append(found[group] or "")
        else:
            out.append(char)
            index += 1
    return "".join(out)


def _group_reference(text: str, index: int, groups: int, names: Mapping[str, int]) -> tuple[int, int]:
    if index == len(text):
        raise _illegal("Illegal group reference: group index is missing")
    if text[index] == "{":
        end = index + 1
        while end < len(text) and text[end].isascii() and text[end].isalnum():
            end += 1
        name = text[index + 1 : end]
        if not name:
            raise _illegal("named capturing group has 0 length name")
        if end == len(text) or text[end] != "}":
            raise _illegal("named capturing group is missing trailing '}'")
        if name[0].isdigit():
            raise _illegal(f"capturing group name {{{name}}} starts with digit character")
        if name not in names:
            raise _illegal(f"No group with name {{{name}}}")
        return names[name], end + 1
    if not ("0" <= text[index] <= "9"):
        raise _illegal("Illegal group reference")
    number, index = int(text[index]), index + 1
    while index < len(text) and "0" <= text[index] <= "9" and number * 10 + int(text[index]) <= groups:
        number, index = number * 10 + int(text[index]), index + 1
    if number > groups:
        raise JavaError(f"No group {number}", "IndexOutOfBoundsException")
    return number, index


def _illegal(message: str) -> JavaError:
    return JavaError(message, "IllegalArgumentException")


class _Translator:
    def __init__(self, text: str) -> None:
        self.text = text
        self.index = 0
        self.total = _count_groups(text)
        self.dot_all = False

    def translate(self) -> str:
        out: list[str] = []
        depth = 0
        while self.index < len(self.text):
            char = self.text[self.index]
            if char == "(":
                opener = self._group()
                depth += not opener.endswith(")") and opener != ""
                out.append(opener)
            elif char == ")":
                if depth == 0:
                    self._fail("Unmatched closing ')'", max(self.index - 1, 0))
                depth -= 1
                self.index += 1
                out.append(")" + self._quantifier())
            elif char == "[":
                out.append(self._class() + self._quantifier())
            elif char == "\\":
                out.append(self._escape())
            elif char in "*+?":
                self._fail(f"Dangling meta character '{char}'", self.index)
            elif char == "{":
                if _QUANTIFIER.match(self.text, self.index):
                    self._refuse("a repetition of nothing")
                self._fail("Illegal repetition", None)
            elif char == "|":
                out.append(char)
                self.index += 1
            elif char in "^$":
                self.index += 1
                out.append(self._assertion("^" if char == "^" else _BEFORE_LAST_LINE_BREAK))
            elif char == ".":
                self.index += 1
                out.append(("(?s:.)" if self.dot_all else r"[^\n\r\x85\u2028\u2029]") + self._quantifier())
            else:
                self.index += 1
                out.append(re.escape(char) + self._quantifier())
        if depth:
            self._fail("Unclosed group", len(self.text))
        return "".join(out)

    def _fail(self, message: str, at: int | None) -> NoReturn:
        near = "" if at is None else f" near index {at}"
        caret = "" if at is None else "\n" + " " * at + "^"
        raise ValueError(f"{message}{near}\n{self.text}{caret}")

    def _refuse(self, what: str) -> NoReturn:
        raise UntranslatablePattern(f"{self.text!r} uses {what}")

    def _quantifier(self) -> str:
        match = _QUANTIFIER.match(self.text, self.index)
        if match is None:
            if self.text.startswith("{", self.index):
                self._fail("Illegal repetition", None)
            return ""
        self.index = match.end()
        return match[0]

    def _assertion(self, text: str) -> str:
        quantifier = self._quantifier()
        return f"(?:{text}){quantifier}" if quantifier else text

    def _group(self) -> str:
        rest = self.text[self.index :]
        if not rest.startswith("(?"):
            self.index += 1
            return "("
        for plain in ("(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"):
            if rest.startswith(plain):
                self.index += len(plain)
                return plain
        if rest.startswith("(?<"):
            name = _NAME.match(rest, 3)
            if name is None or not rest.startswith(">", name.end()):
                self._fail("named capturing group is missing trailing '>'", self.index + 3)
            self.index += name.end() + 1
            return f"(?P<{name[0]}>"
        flags = _FLAGS.match(rest)
        if flags is None:
            self._fail("Unknown inline modifier", self.index + 2)
        if set(flags[1]) - set("is"):
            self._refuse(f"the inline flags {flags[1]!r}")
        if flags[2] == ":":
            if "s" in flags[1]:
                self._refuse("the flag s inside a group")
            self.index += flags.end()
            return f"(?{flags[1]}:"
        if self.index != 0:
            self._refuse("inline flags that are not at its beginning")
        self.index += flags.end()
        self.dot_all = "s" in flags[1]
        return f"(?{flags[1]})" if flags[1] else ""

    def _escape(self) -> str:
        text, index = self.text, self.index + 1
        if index == len(text):
            self._fail("Unexpected internal error", len(text))
        char = text[index]
        if char == "Q":
            end = text.find("\\E", index + 1)
            literal = text[index + 1 :] if end < 0 else text[index + 1 : end]
            self.index = len(text) if end < 0 else end + 2
            quoted = re.escape(literal[:-1])
            return quoted + (re.escape(literal[-1]) + self._quantifier() if literal else "")
        if char in "123456789":
            number, index = int(char), index + 1
            while index < len(text) and text[index].isdigit() and number * 10 + int(text[index]) <= self.total:
                number, index = number * 10 + int(text[index]), index + 1
            if number > self.total:
                self._refuse(f"the reference \\{number} to a group that it does not have")
            self.index = index
            return f"(?:\\{number})" + self._quantifier()
        if char == "k":
            name = re.compile(r"<([a-zA-Z][a-zA-Z0-9]*)>").match(text, index + 1)
            if name is None:
                self._fail("\\k is not followed by '<' for named capturing group", index + 1)
            self.index = name.end()
            return f"(?P={name[1]})" + self._quantifier()
        simple = {"A": r"\A", "z": r"\Z", "Z": _BEFORE_LAST_LINE_BREAK, "b": r"\b", "B": r"\B"}.get(char)
        if simple is not None:
            self.index = index + 1
            return self._assertion(simple)
        if char == "R":
            self.index = index + 1
            return rf"(?:\r\n|[{_VERTICAL}])" + self._quantifier()
        members, negated = self._escaped_class()
        return (f"[{'^' if negated else ''}{members}]") + self._quantifier()

    def _escaped_class(self) -> tuple[str, bool]:
        """The members that an escape stands for, and whether it stands for all others; moves behind it."""
        text, index = self.text, self.index + 1
        char = text[index]
        self.index = index + 1
        if char in "dDwWsS":
            return {"d": "0-9", "w": "a-zA-Z0-9_", "s": r" \t\n\x0b\f\r"}[char.lower()], char.isupper()
        if char in "hH":
            return _HORIZONTAL, char == "H"
        if char in "vV":
            return _VERTICAL, char == "V"
        if char in "pP":
            name = re.compile(r"\{([A-Za-z0-9_=]+)\}|([A-Za-z])").match(text, index + 1)
            if name is None or (name[1] or name[2]) not in _CLASSES:
                self._refuse(f"the character class \\{char}{name[0] if name else ''}")
            self.index = name.end()
            return _CLASSES[name[1] or name[2]], char == "P"
        if char in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[char], False
        for form in (r"x([0-9a-fA-F]{2})", r"x\{([0-9a-fA-F]+)\}", r"u([0-9a-fA-F]{4})"):
            match = re.compile(form).match(text, index)
            if match is not None:
                self.index = match.end()
                return _member(chr(int(match[1], 16))), False
        if char == "0":
            octal = re.compile(r"0([0-3]?[0-7]{1,2})").match(text, index)
            if octal is None:
                self._fail("Illegal octal escape sequence", index + 1)
            self.index = octal.end()
            return _member(chr(int(octal[1], 8))), False
        if char == "c" and index + 1 < len(text):
            self.index = index + 2
            return _member(chr(ord(text[index + 1]) ^ 64)), False
        if char.isascii() and char.isalpha():
            if char in "GXN":
                self._refuse(f"\\{char}")
            self._fail("Illegal/unsupported escape sequence", index)
        return _member(char), False

    def _class(self) -> str:
        text = self.text
        self.index += 1
        negated = text.startswith("^", self.index)
        self.index += negated
        members: list[str] = []
        while True:
            if self.index >= len(text):
                self._fail("Unclosed character class", len(text) - 1)
            char = text[self.index]
            if char == "]" and members:
                self.index += 1
                return f"[{'^' if negated else ''}{''.join(members)}]"
            if char == "[":
                self._refuse("a character class inside another")
            if text.startswith("&&", self.index):
                self._refuse("an intersection of character classes")
            low = self._class_member(members)
            if low is None:
                continue
            if text.startswith("-", self.index) and text[self.index + 1 : self.index + 2] not in ("]", "[", ""):
                self.index += 1
                high = self._class_member(members)
                if high is None:
                    self._refuse("a range that ends in a class")
                if ord(high) < ord(low):
                    self._fail("Illegal character range", self.index - 1)
                members.append(f"{_member(low)}-{_member(high)}")
            else:
                members.append(_member(low))

    def _class_member(self, members: list[str]) -> str | None:
        """One literal character, or None after a class escape, whose members were added."""
        char = self.text[self.index]
        if char != "\\":
            self.index += 1
            return char
        if self.text.startswith("\\Q", self.index):
            self._refuse("\\Q inside a character class")
        if self.index + 1 >= len(self.text):
            self._fail("Unclosed character class", len(self.text) - 1)
        written, negated = self._escaped_class()
        literal = _literal_of(written)
        if literal is not None and not negated:
            return literal
        if negated:
            self._refuse("a negated class inside a character class")
        members.append(written)
        return None


def _literal_of(member: str) -> str | None:
    if len(member) == 1:
        return member
    if len(member) == 2 and member[0] == "\\":
        return {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(member[1], member[1])
    match = re.fullmatch(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})", member)
    return None if match is None else chr(int(match[1] or match[2], 16))


def _member(char: str) -> str:
    """One character as a member of a Python character class."""
    return char if char.isalnum() else "\\" + char if char.isprintable() and char.isascii() else _hex(char)


def _hex(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _count_groups(text: str) -> int:
    count, index = 0, 0
    in_class = False
    while index < len(text):
        char = text[index]
        if text.startswith("\\Q", index):
            end = text.find("\\E", index)
            index = len(text) if end < 0 else end + 2
            continue
        if char == "\\":
            index += 2
            continue
        if in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
            index += 1 + text.startswith("[^", index)
        elif char == "(":
            count += not text.startswith("(?", index) or (
                text.startswith("(?<", index) and text[index + 3 : index + 4] not in ("=", "!")
            )
        index += 1
    return count
