"""How a view stands, seen from outside: its stored state, and what its topics hold beyond it."""

from __future__ import annotations

from typing import Any

from cdc.errors import SeamError
from cdc.kafka.follower import Follower
from views.batch import Offsets
from views.changes import offsets_text
from views.errors import ViewNotBuilt
from views.generations import Generations
from views.kinds import open_store
from views.loading import places_of
from views.options import ViewConfig
from views.runner import View


def view_status(config: ViewConfig, view: View | None = None) -> dict[str, Any]:
    """One view's status as a JSON object; what cannot be read is said in `last_error`, not raised.

    Args:
        config: The view.
        view: The running one, in its own process.
    """
    row: dict[str, Any] = {
        "view": config.name, "kind": config.kind, "phase": "not built", "rows": None, "bytes": None, "position": None,
        "behind": None, "dead_letters": None, "generation": None, "seen_until": None, "applied": None, "last_error": None,
    }  # fmt: skip
    offsets: Offsets | None = None
    try:
        if view is not None:
            row.update(phase=view.meter.phase, applied=view.meter.applied)
            with view.reading() as store:
                offsets = _add(row, store)
        else:
            offsets = _stored(config, row)
        if offsets is not None:
            row["behind"] = _behind(config, offsets)
    except ViewNotBuilt:
        pass
    except SeamError as error:
        row["last_error"] = error.message
    return row


def _stored(config: ViewConfig, row: dict[str, Any]) -> Offsets | None:
    if config.path is None:
        row["phase"] = "in memory of its process"
        return None
    if config.kind == "memory":
        from views.image_file import FILE, read_image  # numpy is only needed here

        found = read_image(config.path / FILE)
        if found is None:
            return None
        state, arenas = found
        row.update(
            phase="snapshot", rows=sum(map(len, arenas.values())), bytes=sum(a.size_bytes() for a in arenas.values()),
            position=offsets_text(state.offsets), dead_letters=state.dead, seen_until=state.seen_until,
        )  # fmt: skip
        return state.offsets
    generations = Generations(config.path)
    number = generations.current()
    if number is None:
        row["phase"] = "being built" if generations.locked_by_another() else "not built"
        return None
    row.update(phase="running" if generations.locked_by_another() else "stopped", generation=number)
    with open_store(config, generations.store(number), read_only=True) as store:
        return _add(row, store)


def _add(row: dict[str, Any], store: Any) -> Offsets:
    state = store.state
    row.update(
        rows=store.count(), bytes=store.size_bytes(), position=offsets_text(state.offsets), dead_letters=state.dead,
        seen_until=state.seen_until,
    )  # fmt: skip
    offsets: Offsets = state.offsets
    return offsets


def _behind(config: ViewConfig, offsets: Offsets) -> int:
    """Offsets that the topics hold beyond the view."""
    with Follower(config.kafka) as follower:
        bounds = follower.bounds(places_of(follower, config), seconds=5.0)
    return sum(max(0, held.end - max(held.begin, offsets.get(place, 0))) for place, held in bounds.items())
