"""Which options on the form of topics and events can stand together."""

from __future__ import annotations

from collections.abc import Mapping


def form_problems(options: Mapping[str, object], *, value_schemas: bool) -> list[tuple[str, str]]:
    """Combinations of options that cannot hold: option and what is wrong."""
    problems = []
    latest, form = options.get("seam.topic.latest"), options.get("seam.event.form")
    if latest == "transaction" and options.get("exactly.once.support") != "required":
        problems.append(("seam.topic.latest", "is transaction, which needs exactly.once.support=required"))
    if latest == "transaction" and options.get("transforms"):
        problems.append(
            (
                "seam.topic.latest",
                "is transaction, which knows the tables' own topics only: leave transforms out, or use copy",
            )
        )
    if latest in ("transaction", "copy"):
        if "t" not in (options.get("skipped.operations") or ()):  # type: ignore[operator] # a list
            problems.append(
                ("seam.topic.latest", "a TRUNCATE cannot be told to a compacted topic: keep t in skipped.operations")
            )
        if options.get("seam.compat") == "strict":
            problems.append(("seam.topic.latest", "is not Debezium's: it needs seam.compat=safe"))
        if form == "delta":
            problems.append(
                ("seam.topic.latest", "the latest delta of a key is not its latest row: it needs seam.event.form=fact")
            )
    if form == "delta":
        if value_schemas:
            problems.append(("seam.event.form", "is delta, which needs value.converter.schemas.enable=false"))
        if not str(options.get("value.converter")).endswith("JsonConverter"):
            problems.append(
                ("seam.event.form", "is delta, which is JSON: it needs value.converter to be the JsonConverter")
            )
        if options.get("transforms"):
            problems.append(
                ("seam.event.form", "is delta, which is made after the last transform: leave transforms out")
            )
    return problems
