"""Which row a row message is about: the columns that identify it, before and after, without decoding the rest."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from operator import itemgetter

from cdc.errors import ProtocolError
from cdc.model.relation import Relation
from cdc.wire.pgoutput import UNCHANGED, Cell

_TEXT, _NULL, _NEW, _WHOLE = ord("t"), ord("n"), ord("N"), ord("O")


class RowIdentity:
    """Takes the identifying columns out of the row messages of one relation.

    Args:
        relation: As its last Relation message described it.
        columns: The names of the identifying columns.

    Raises:
        ValueError: The relation has no such column.
    """

    def __init__(self, relation: Relation, columns: Sequence[str]) -> None:
        places = {column.name: index for index, column in enumerate(relation.columns)}
        missing = [name for name in columns if name not in places]
        if missing or not columns:
            raise ValueError(f"{relation.qualified} has no column {', '.join(missing) or 'that identifies a row'}")
        self.table = relation.qualified
        self._indexes = [places[name] for name in columns]
        self.of: Callable[[Sequence[Cell]], Hashable] = itemgetter(*self._indexes)

    def read(self, payload: bytes) -> tuple[list[Hashable], Hashable | None]:
        """The rows that a message is about.

        Args:
            payload: An Insert, Update or Delete message.

        Returns:
            Their identities, the new one first (a key change is about two), and the new one again where the message
            leaves out a value that the update did not touch, else None.

        Raises:
            ProtocolError: The message is malformed.
        """
        try:
            return self._read(payload)
        except IndexError as error:
            raise ProtocolError("truncated row", tag=chr(payload[0]), length=len(payload)) from error

    def _read(self, payload: bytes) -> tuple[list[Hashable], Hashable | None]:
        kind = payload[5]
        old: list[Cell] | None = None
        place = 6
        if kind != _NEW:
            old, place = _cells(payload, place)
            if payload[0] == ord("D"):
                return [self.of(old)], None
            place += 1
        new, _ = _cells(payload, place)
        left_out = UNCHANGED in new
        if left_out and old is not None:
            # An identifying column may be left out too; then the old row, or its key, holds it.
            new = [new[i] if new[i] is not UNCHANGED else old[i] for i in range(len(new))]
            left_out = left_out and kind != _WHOLE
        identity = self.of(new)
        identities = [identity]
        if old is not None and (before := self.of(old)) != identity:
            identities.append(before)
        return identities, identity if left_out else None


def _cells(payload: bytes, place: int) -> tuple[list[Cell], int]:
    count = payload[place] << 8 | payload[place + 1]
    place += 2
    cells: list[Cell] = []
    for _ in range(count):
        kind = payload[place]
        if kind == _TEXT:
            end = place + 5 + int.from_bytes(payload[place + 1 : place + 5], "big")
            cells.append(payload[place + 5 : end])
            place = end
        else:
            cells.append(None if kind == _NULL else UNCHANGED)
            place += 1
    return cells, place
