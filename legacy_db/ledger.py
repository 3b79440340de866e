"""The ledger of a migration: intents and confirmations, append-only, in SQLite beside the file or in Postgres."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import socket
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from cdc.errors import OperatorError
from legacy_db.revisions import LEDGER_VERSIONS, Revisions, open_database

_TABLE: Final = sa.table(
    "seam_ledger",
    *(sa.column(name) for name in ("id", "slice", "epoch", "action", "step", "from_state", "to_state", "intent_at",
                                   "confirmed_at", "actor", "plan_hash", "error")),
    sa.column("evidence", sa.JSON),
)  # fmt: skip
REVISIONS: Final = Revisions(LEDGER_VERSIONS, "seam_ledger_version")


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger.

    Attributes:
        id: Ascending.
        slice: Whose.
        epoch: How often the slice was taken back to its beginning.
        action: advance, undo or evidence.
        step: The step's name.
        from_state: Before.
        to_state: After.
        intent_at: Unix time at which it was begun.
        confirmed_at: Unix time at which it was done, None while it is not.
        actor: Who did it.
        plan_hash: The plan that held.
        evidence: What was seen.
        error: Why it was given up, None otherwise.
    """

    id: int
    slice: str
    epoch: int
    action: str
    step: str
    from_state: str | None
    to_state: str | None
    intent_at: float
    confirmed_at: float | None
    actor: str
    plan_hash: str | None
    evidence: Mapping[str, Any] | None
    error: str | None

    @property
    def pending(self) -> bool:
        """Whether it was begun and neither confirmed nor given up."""
        return self.confirmed_at is None and self.error is None

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


def actor() -> str:
    """Who we are: user@host."""
    with contextlib.suppress(KeyError, OSError):
        return f"{getpass.getuser()}@{socket.gethostname()}"
    return f"uid {os.getuid()}@{socket.gethostname()}"


class Ledger:
    """One ledger, for one slice; `with Ledger(url, name) as ledger:`.

    Args:
        url: Where.
        name: The slice.

    Raises:
        SourceUnavailable: It cannot be reached.
    """

    def __init__(self, url: URL, name: str) -> None:
        self.url = url
        self.name = name
        if url.get_backend_name() == "sqlite" and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        self.connection: Connection = open_database(url, "ledger")
        if REVISIONS.current(self.connection) != REVISIONS.heads():
            REVISIONS.upgrade(self.connection, "ledger@head")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    # -- reading -----------------------------------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        """The slice's whole history, oldest first."""
        query = sa.select(_TABLE).where(_TABLE.c.slice == self.name).order_by(_TABLE.c.id)
        rows = self.connection.execute(query).mappings().all()
        self.connection.rollback()
        return [Entry(**{name: row[name] for name in Entry.__slots__}) for row in rows]

    def state(self) -> str | None:
        """The state that was confirmed last; None before the first."""
        moves = [e for e in self.entries() if e.confirmed_at is not None and e.action in ("advance", "undo")]
        return moves[-1].to_state if moves else None

    def pending(self) -> Entry | None:
        """What was begun and not ended: a process was killed there, or is at it."""
        entries = self.entries()
        return entries[-1] if entries and entries[-1].pending else None

    def evidence(self, step: str) -> Entry | None:
        """The newest evidence of a step since the slice was last taken back before it."""
        found = None
        for entry in self.entries():
            if entry.confirmed_at is None or entry.step != step:
                continue
            found = None if entry.action == "undo" else entry
        return found

    # -- writing -----------------------------------------------------------------------------------------------------

    def intend(
        self, action: str, step: str, from_state: str | None, to_state: str | None, plan_hash: str | None
    ) -> int:
        """Write down what is about to be done; returns its id."""
        epoch = sum(1 for e in self.entries() if e.action == "undo" and e.confirmed_at and e.to_state is None)
        insert = sa.insert(_TABLE).values(
            slice=self.name, epoch=epoch, action=action, step=step, from_state=from_state, to_state=to_state,
            intent_at=time.time(), actor=actor(), plan_hash=plan_hash,
        )  # fmt: skip
        self.connection.execute(insert)
        self.connection.commit()
        return self.entries()[-1].id

    def note(self, entry: int, evidence: Mapping[str, Any]) -> None:
        """What has to be known of the world before the actions, should they be interrupted."""
        self._change(entry, evidence=json.loads(json.dumps(evidence, default=str)))

    def confirm(self, entry: int, evidence: Mapping[str, Any]) -> None:
        """It is done."""
        self._change(entry, confirmed_at=time.time(), evidence=json.loads(json.dumps(evidence, default=str)))

    def give_up(self, entry: int, error: str) -> None:
        """It was not done, and the world is as before."""
        self._change(entry, error=error)

    def _change(self, entry: int, **values: Any) -> None:
        self.connection.execute(sa.update(_TABLE).where(_TABLE.c.id == entry).values(**values))
        self.connection.commit()

    # -- one operator at a time --------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def operator(self) -> Iterator[None]:
        """Hold the slice for oneself; it is free again when the process ends, however it ends.

        Raises:
            OperatorError: Somebody else holds it.
        """
        if self.url.get_backend_name() == "postgresql":
            with self._locked_in_postgres():
                yield
            return
        if not self.url.database or self.url.database == ":memory:":
            yield
            return
        path = Path(f"{self.url.database}.{zlib.crc32(self.name.encode()):08x}.lock")
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise self._held(file.read().strip()) from None
            file.truncate(0)
            file.write(f"{actor()}, process {os.getpid()}")
            file.flush()
            yield

    @contextlib.contextmanager
    def _locked_in_postgres(self) -> Iterator[None]:
        # A connection of its own: the lock must outlast the ledger's own transactions.
        connection = open_database(self.url, "ledger")
        try:
            key = zlib.crc32(f"seam slice {self.name}".encode())
            if not connection.execute(sa.text("select pg_try_advisory_lock(:key)"), {"key": key}).scalar():
                raise self._held("another session of the ledger's database")
            yield
        finally:
            connection.close()

    def _held(self, whom: str) -> OperatorError:
        return OperatorError(
            f"slice {self.name!r} is being worked on by {whom or 'another process'}",
            hint="wait until that command has ended; nothing was changed",
        )
