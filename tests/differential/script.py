"""SQL scripts as cases: what they ask of the two engines, and their statements one by one.

A script is an ordinary SQL file. Comment lines of these forms are read, all of them optional:

    -- option: decimal.handling.mode=string    an option of the connector, for both engines
    -- postgres: 17                            the server's version, 18 when left out
    -- partitions: 3                           partitions of each topic, 1 when left out: then the whole order counts
    -- publication: for table public.a         what follows CREATE PUBLICATION name; FOR ALL TABLES when left out
    -- setup                                   from here on before publication and slots are made
    -- stream                                  from here on what is captured; so is everything in a file without it
    -- session b                               from here on in another connection, `main` is the first

Statements run one by one, each in a transaction of its own unless the script begins one. `COPY ... FROM STDIN` takes
the lines that follow it, up to `\\.`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.stack.postgres import Database

_DIRECTIVE = re.compile(r"^--\s*(option|postgres|partitions|publication):\s*(.*?)\s*$")
_SECTION = re.compile(r"^--\s*(setup|stream|session\s+(\w+))\s*$")
_COPY = re.compile(r"^\s*copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)
_QUOTE = re.compile(r"""'|"|\$(?:[A-Za-z_][A-Za-z_0-9]*)?\$|--|/\*|;""")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement with the session that runs it, and the lines that a COPY takes."""

    session: str
    text: str
    data: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """One case.

    Attributes:
        name: Its folder and name, as in `operations/key_change`.
        digest: SHA-256 of its text.
        options: Options of the connector.
        postgres: The server's major version.
        partitions: Of each topic.
        publication: What follows CREATE PUBLICATION and its name.
        setup: Statements that run before the slots are made.
        stream: Statements that are captured.
    """

    name: str
    digest: str
    options: Mapping[str, str] = field(default_factory=dict)
    postgres: int = 18
    partitions: int = 1
    publication: str = "for all tables"
    setup: Sequence[Statement] = ()
    stream: Sequence[Statement] = ()


def scripts_in(directory: Path) -> list[Script]:
    """The scripts of a folder and its folders, by name.

    Raises:
        FileNotFoundError: It holds none.
    """
    found = [
        parse_script(str(path.relative_to(directory).with_suffix("")), path.read_text(encoding="utf-8"))
        for path in sorted(directory.rglob("*.sql"))
    ]
    if not found:
        raise FileNotFoundError(f"{directory} holds no .sql file")
    return found


def parse_script(name: str, text: str) -> Script:
    """Read a script.

    Raises:
        ValueError: A comment asks for something that cannot be read.
    """
    options: dict[str, str] = {}
    given: dict[str, str] = {}
    sections: dict[str, list[tuple[str, list[str]]]] = {"setup": [], "stream": []}
    session = "main"
    lines: list[str] = []
    sections["stream"].append((session, lines))
    for line in text.splitlines():
        directive = _DIRECTIVE.match(line)
        marker = _SECTION.match(line)
        if directive is not None and directive[1] == "option":
            option, equals, value = directive[2].partition("=")
            if not equals:
                raise ValueError(f"{name}: {line!r} has no =")
            options[option.strip()] = value.strip()
        elif directive is not None:
            given[directive[1]] = directive[2]
        elif marker is not None:
            section = "stream"
            if marker[2] is not None:
                session = marker[2]
                section = next(key for key, parts in sections.items() if any(part[1] is lines for part in parts))
            else:
                section, session = marker[1], "main"
            lines = []
            sections[section].append((session, lines))
        else:
            lines.append(line)
    statements = {
        section: [statement for session, piece in parts for statement in _statements(session, "\n".join(piece) + "\n")]
        for section, parts in sections.items()
    }
    return Script(
        name=name,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        options=options,
        postgres=int(given.get("postgres", "18")),
        partitions=int(given.get("partitions", "1")),
        publication=given.get("publication", "for all tables"),
        setup=statements["setup"],
        stream=statements["stream"],
    )


def _statements(session: str, text: str) -> Iterator[Statement]:
    start = 0
    while start < len(text):
        end = _end(text, start)
        body = text[start:end].strip()
        start = end + 1
        if not re.sub(r"--[^\n]*|/\*.*?\*/", "", body, flags=re.DOTALL).strip():
            continue
        data = None
        if _COPY.match(re.sub(r"--[^\n]*\n", "", body)):
            begin = text.index("\n", end) + 1
            finish = text.index("\n\\.\n", begin - 1)
            data = text[begin : finish + 1]
            start = finish + len("\n\\.\n")
        yield Statement(session, body, data)


def _end(text: str, start: int) -> int:
    """Where the statement that begins at `start` ends: its semicolon, or the end of the text."""
    place = start
    while (match := _QUOTE.search(text, place)) is not None:
        opening, place = match[0], match.end()
        if opening == ";":
            return match.start()
        closing = {"--": "\n", "/*": "*/"}.get(opening, opening)
        found = text.find(closing, place)
        if found < 0:
            return len(text)
        place = found + len(closing)
    return len(text)


class Sessions:
    """The connections that run a script."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: dict[str, psycopg.Connection] = {}

    def run(self, statements: Sequence[Statement]) -> None:
        """Run statements in their order."""
        for statement in statements:
            if statement.session not in self._open:
                self._open[statement.session] = self._database.connect()
            connection = self._open[statement.session]
            try:
                if statement.data is None:
                    connection.execute(statement.text)
                else:
                    with connection.cursor() as cursor, cursor.copy(statement.text) as copy:
                        copy.write(statement.data)
            except psycopg.Error as error:
                raise AssertionError(f"the script's statement failed: {error}\n{statement.text}") from error

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()

    def __enter__(self) -> Sessions:  # noqa: PYI034 - Self needs an import that says no more
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
