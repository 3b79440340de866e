"""The contract branch of a slice's target: unique and foreign keys, which rows that arrive topic by topic would violate.

It is applied when the rows have stopped arriving: the slice is verified, and nobody projects it. While it is applied, nothing
is projected; it is taken back by the same command, or with the whole target when the projection is taken back.
"""

from __future__ import annotations

from typing import Final

from cdc.errors import OperatorError
from legacy_db import machine
from legacy_db.projection import alone
from legacy_db.revisions import open_database
from legacy_db.steps.base import Context
from legacy_db.steps.verify import Verify
from legacy_db.target import CONTRACT, revisions

NAME: Final = CONTRACT
"""What the ledger calls it."""


def contract_sql(context: Context, *, back: bool) -> str:
    """The branch's SQL, for an administrator to run.

    Raises:
        OperatorError: The slice was not planned.
    """
    if context.plan() is None:
        raise OperatorError(f"{context.slice.name} was not planned", hint="seam migrate plan FILE SLICE")
    found = revisions(context.slice.directory, context.slice.name)
    if back:
        return found.sql(f"{found.head(CONTRACT)}:base", down=True)
    return found.sql(f"{CONTRACT}@head")


def contract(context: Context) -> bool:
    """Apply the branch; returns whether there was anything to do.

    Raises:
        OperatorError: The slice is not verified, or a row violates a key: nothing was changed.
        ProjectionHeld: Somebody projects the slice.
    """
    with context.ledger.operator():
        now = machine.standing(context)
        if now.state != Verify.state:
            raise OperatorError(
                f"{context.slice.name} is {now.state or 'undiscovered'}{f': {now.reason}' if now.reason else ''}; keys are "
                "added to a view that was verified",
                hint=f"seam migrate advance FILE {context.slice.name} --to {Verify.state}",
            )
        found = revisions(context.slice.directory, context.slice.name)
        with open_database(context.slice.require_target(), "target") as connection:
            if found.reaches(connection, CONTRACT):
                return False
            # Whoever carries the slice beside `seam run` sees it, and leaves.
            entry = context.ledger.intend("contract", NAME, now.state, now.state, context.plan_hash())
            try:
                with alone(context.slice):
                    found.upgrade(connection, f"{CONTRACT}@head")
            except OperatorError as error:
                context.ledger.give_up(entry, error.message)
                raise
            context.ledger.confirm(entry, {"revision": found.head(CONTRACT)})
        return True


def expand_again(context: Context) -> bool:
    """Take the branch back, so that rows may be projected again; returns whether there was anything to do.

    Raises:
        OperatorError: A constraint cannot be dropped: nothing was changed.
    """
    with context.ledger.operator():
        state = context.ledger.state()
        found = revisions(context.slice.directory, context.slice.name)
        with open_database(context.slice.require_target(), "target") as connection:
            if not found.reaches(connection, CONTRACT):
                return False
            entry = context.ledger.intend("expand", NAME, state, state, context.plan_hash())
            found.downgrade(connection, f"{CONTRACT}@base")
            context.ledger.confirm(entry, {"revision": list(found.current(connection))})
        return True
