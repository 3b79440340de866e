"""Alembic by its API: upgrade, downgrade and current of the ledger and of a slice's target schema."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

import migrations
from cdc.errors import OperatorError, SourceUnavailable

ENVIRONMENT: Final = Path(migrations.__file__).parent
LEDGER_VERSIONS: Final = ENVIRONMENT / "versions"


def open_database(url: URL, what: str) -> Connection:
    """Connect to a ledger or target.

    Args:
        url: The database.
        what: What it is, for messages.

    Raises:
        SourceUnavailable: It cannot be reached.
    """
    more = {"options": "-c lock_timeout=10s -c TimeZone=UTC"} if url.get_backend_name() == "postgresql" else {}
    engine = sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=more)
    try:
        return engine.connect()
    except SQLAlchemyError as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise SourceUnavailable(
            f"the {what} at {url.host or url.database} cannot be reached: {cause}", hint="check the URL in the file"
        ) from error


@dataclass(frozen=True, slots=True)
class Revisions:
    """A set of revisions over one database.

    Args:
        versions: Where they lie.
        version_table: Alembic's own table in the database.
        schema: The schema of that table, None for the default.
    """

    versions: Path
    version_table: str
    schema: str | None = None

    def _config(self, connection: Connection | None, out: io.StringIO | None = None) -> Config:
        config = Config(output_buffer=out) if out is not None else Config()
        config.set_main_option("script_location", str(ENVIRONMENT).replace("%", "%%"))
        config.set_main_option("version_locations", str(self.versions).replace("%", "%%"))
        config.set_main_option("path_separator", "newline")
        config.attributes.update(
            connection=connection, version_table=self.version_table, version_table_schema=self.schema,
            dialect="postgresql",
        )  # fmt: skip
        return config

    def heads(self) -> tuple[str, ...]:
        """The newest revision of each branch."""
        return tuple(sorted(ScriptDirectory.from_config(self._config(None)).get_heads()))

    def current(self, connection: Connection) -> tuple[str, ...]:
        """What the database has."""
        table = sqlalchemy.table(self.version_table, sqlalchemy.column("version_num"), schema=self.schema)
        if not sqlalchemy.inspect(connection).has_table(self.version_table, schema=self.schema):
            connection.rollback()
            return ()
        rows = connection.execute(sqlalchemy.select(table.c.version_num)).scalars().all()
        connection.rollback()
        return tuple(sorted(rows))

    def head(self, branch: str) -> str:
        """The newest revision of one branch."""
        found = ScriptDirectory.from_config(self._config(None)).get_revision(f"{branch}@head")
        assert found is not None
        return str(found.revision)

    def reaches(self, connection: Connection, branch: str) -> bool:
        """Whether the database has the newest revision of a branch."""
        return bool(self.heads()) and self.head(branch) in self.current(connection)

    def upgrade(self, connection: Connection, revision: str) -> None:
        """Bring the database to a revision; somebody else who does the same is waited for.

        Raises:
            OperatorError: A revision failed; the database is as before.
        """
        self._run(connection, "upgrade", revision)

    def downgrade(self, connection: Connection, revision: str) -> None:
        """Take revisions back, down to `revision` or "base".

        Raises:
            OperatorError: A revision failed; the database is as before.
        """
        self._run(connection, "downgrade", revision)

    def _run(self, connection: Connection, verb: str, revision: str) -> None:
        try:
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(
                        sqlalchemy.text("select pg_advisory_xact_lock(:key)"), {"key": _lock_key(self.version_table)}
                    )
                getattr(command, verb)(self._config(connection), revision)
        except (SQLAlchemyError, CommandError) as error:
            cause = " ".join(str(getattr(error, "orig", None) or error).split())
            raise OperatorError(f"{verb} to revision {revision}: {cause}", hint="nothing was changed") from error

    def sql(self, revisions: str, *, down: bool = False) -> str:
        """The SQL of revisions, for an administrator to run: `base:head`, or `head:base` downwards."""
        out = io.StringIO()
        config = self._config(None, out)
        if down:
            command.downgrade(config, revisions, sql=True)
        else:
            command.upgrade(config, revisions, sql=True)
        # The other branch may have created Alembic's own table already.
        return out.getvalue().replace(
            f"CREATE TABLE {self.version_table} ", f"CREATE TABLE IF NOT EXISTS {self.version_table} "
        )


def _lock_key(name: str) -> int:
    return zlib.crc32(f"seam {name}".encode())
