"""The inventory as one self-contained HTML page, with a picture of the slices and what crosses their borders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from legacy_db.borders import Crossing
from legacy_db.inventory import Inventory
from legacy_db.risks import Risk

_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1d2430;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #d8dee8;padding-bottom:.2rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #e6eaf0;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:.85em;background:#f2f4f8;padding:.05rem .25rem;border-radius:3px;overflow-wrap:anywhere}
.blocks{color:#b3261e;font-weight:600}.facts{color:#5a6577}svg{width:100%;height:auto;background:#fafbfd;border:1px solid #e6eaf0;border-radius:6px}
svg text{font:12px system-ui,sans-serif;fill:#1d2430}svg .title{font-weight:600;font-size:13px}svg .slice{fill:#eef3fb;stroke:#7f9ccb}
svg .rest{fill:#f4f4f4;stroke:#b9b9b9;stroke-dasharray:4 3}svg .table{fill:#fff;stroke:#aeb9ca}svg .edge{fill:none;stroke:#8a94a6;stroke-width:1.2}
svg .edge.blocks{stroke:#b3261e;stroke-width:2}
"""
_COLUMN: Final = 250
_ROW: Final = 26
_GAP: Final = 90
_REST: Final = "no slice"


def html_report(
    inventory: Inventory,
    risks: Sequence[Risk],
    slices: Mapping[str, Sequence[str]],
    borders: Mapping[str, Sequence[Crossing]],
) -> str:
    """The whole page.

    Args:
        inventory: What was found.
        risks: What will be tripped over.
        slices: Slice -> its tables.
        borders: Slice -> what crosses its border.
    """
    database = inventory.database
    title = f"{escape(str(database['name']))}: what the legacy holds"
    facts = (
        f"Postgres {escape(str(database['version']))}, encoding {escape(str(database['encoding']))}, "
        f"{len(inventory.tables)} tables, {len(inventory.foreign_keys)} foreign keys, {len(inventory.triggers)} triggers, "
        f"{len(inventory.views)} views, {inventory.large_objects} large objects"
    )
    return "".join(
        (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>",
            f"<h1>{title}</h1><p class=facts>{facts}</p>",
            "<h2>Slices and what crosses their borders</h2>",
            _picture(inventory, slices, borders),
            _borders(borders),
            f"<h2>Risks ({len(risks)})</h2>",
            _risks(risks),
            "<h2>Tables</h2>",
            _tables(inventory, slices),
            _rest(inventory),
            "</html>",
        )
    )


def _slice_of(slices: Mapping[str, Sequence[str]], table: str) -> str:
    return next((name for name, tables in slices.items() if table in tables), _REST)


def _picture(
    inventory: Inventory, slices: Mapping[str, Sequence[str]], borders: Mapping[str, Sequence[Crossing]]
) -> str:
    """Boxes of tables side by side, and a line for each thing that crosses a border."""
    groups: dict[str, list[str]] = {name: list(tables) for name, tables in slices.items()}
    placed = {table for tables in groups.values() for table in tables}
    groups[_REST] = [
        name for name, table in inventory.tables.items() if name not in placed and table.kind != "partition"
    ]
    across = max(1, min(3, math.ceil(math.sqrt(len(groups)))))
    boxes: list[str] = []
    places: dict[str, tuple[float, float]] = {}
    top = 20.0
    names = [name for name, tables in groups.items() if tables]
    width = across * _COLUMN + (across + 1) * _GAP
    for start in range(0, len(names), across):
        tallest = 0.0
        for column, name in enumerate(names[start : start + across]):
            left = _GAP + column * (_COLUMN + _GAP)
            height = 34 + len(groups[name]) * _ROW + 8
            tallest = max(tallest, height)
            kind = "rest" if name == _REST else "slice"
            boxes.append(f'<rect class="{kind}" x="{left}" y="{top}" width="{_COLUMN}" height="{height}" rx="8"/>')
            boxes.append(f'<text class="title" x="{left + 12}" y="{top + 22}">{escape(name)}</text>')
            for row, table in enumerate(groups[name]):
                y = top + 34 + row * _ROW
                places[table] = (left, y + _ROW / 2 - 2)
                boxes.append(
                    f'<rect class="table" x="{left + 8}" y="{y}" width="{_COLUMN - 16}" height="{_ROW - 5}" rx="3"/>'
                )
                boxes.append(
                    f'<text x="{left + 15}" y="{y + 15}">{escape(table if len(table) < 34 else table[:32] + "…")}</text>'
                )
        top += tallest + 40
    edges = [
        _edge(crossing, places)
        for crossing in {(c.kind, c.source, c.target, c.name): c for found in borders.values() for c in found}.values()
    ]
    return f'<svg viewBox="0 0 {width} {top}" role="img" aria-label="slices">{"".join(edges)}{"".join(boxes)}</svg>'


def _edge(crossing: Crossing, places: Mapping[str, tuple[float, float]]) -> str:
    if crossing.source not in places or crossing.target not in places:
        return ""
    (left, y), (other, other_y) = places[crossing.source], places[crossing.target]
    start, end = (left + _COLUMN, other) if left < other else (left, other + _COLUMN)
    if left == other:
        start = end = left
    bend = (start + end) / 2 if start != end else start - _GAP * 0.8
    blocks = " blocks" if crossing.blocks else ""
    label = escape(f"{crossing.kind}: {crossing.source} → {crossing.target} {crossing.name}")
    return (
        f'<path class="edge{blocks}" d="M{start},{y} C{bend},{y} {bend},{other_y} {end},{other_y}">'
        f"<title>{label}</title></path>"
    )


def _borders(borders: Mapping[str, Sequence[Crossing]]) -> str:
    rows = [
        f"<tr><td>{escape(name)}<td class={'blocks' if c.blocks else 'open'}>{c.kind}<td>{escape(c.source)}<td>{escape(c.target)}<td>{escape(c.name)}<td>{escape(c.why)}"
        for name, found in borders.items()
        for c in found
    ]
    if not rows:
        return "<p>Nothing crosses the border of a slice.</p>"
    return "<table><tr><th>slice<th>what<th>from<th>to<th>name<th>meaning" + "".join(rows) + "</table>"


def _risks(risks: Sequence[Risk]) -> str:
    rows = [
        f"<tr><td class={'blocks' if r.blocks else 'risk'}>{r.code}<td>{escape(r.subject)}<td>{escape(r.why)}"
        f"<td><code>{escape(r.shows)}</code>{'<br>mends: <code>' + escape(r.remedy) + '</code>' if r.remedy else ''}"
        for r in risks
    ]
    return "<table><tr><th>risk<th>where<th>what happens<th>the SQL that shows it" + "".join(rows) + "</table>"


def _tables(inventory: Inventory, slices: Mapping[str, Sequence[str]]) -> str:
    rows = []
    for name, table in inventory.tables.items():
        rate = table.writes_per_second
        key = ", ".join(table.primary_key) or "none"
        usable = table.identity if table.identity_usable else f"<span class=blocks>{table.identity}</span>"
        rows.append(
            f"<tr><td>{escape(name)}<td>{table.kind if table.persistence == 'permanent' else table.persistence}"
            f"<td class=n>{table.rows:,}<td class=n>{table.bytes:,}<td class=n>{'' if rate is None else f'{rate:.2f}'}"
            f"<td class=n>{len(table.columns)}<td>{escape(key)}<td>{usable}<td>{escape(_slice_of(slices, name))}"
        )
    heads = "<th>table<th>kind<th>rows<th>bytes<th>writes/s<th>columns<th>primary key<th>identity<th>slice"
    return f"<table><tr>{heads}{''.join(rows)}</table>"


def _rest(inventory: Inventory) -> str:
    parts = []
    if inventory.views:
        rows = "".join(
            f"<tr><td>{escape(v.name)}<td>{'materialised' if v.materialized else 'view'}<td>{escape(', '.join(v.reads))}"
            for v in inventory.views
        )
        parts.append(f"<h2>Views</h2><table><tr><th>view<th>kind<th>reads{rows}</table>")
    if inventory.triggers:
        rows = "".join(
            f"<tr><td>{escape(t.table)}<td>{escape(t.name)}<td>{t.timing} {t.events}<td>{escape(t.function)}<td>{escape(', '.join(t.writes))}"
            for t in inventory.triggers
        )
        parts.append(f"<h2>Triggers</h2><table><tr><th>on<th>trigger<th>when<th>function<th>writes{rows}</table>")
    if inventory.roles:
        rows = "".join(
            f"<tr><td>{escape(role)}<td>{escape(', '.join(f'{p} on {n}' for p, n in privileges.items()))}"
            for role, privileges in inventory.roles.items()
        )
        parts.append(f"<h2>Roles that use the tables</h2><table><tr><th>role<th>may{rows}</table>")
    return "".join(parts)
