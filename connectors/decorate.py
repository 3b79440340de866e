"""What stands around the renderer of a relation: its topics exist before its first record, signals are read from it."""

from __future__ import annotations

from collections.abc import Sequence

from cdc.layout import Layout
from cdc.relations import MakeRender
from cdc.render import Outgrown, Record, Render
from cdc.source import SourceState
from connectors.requests import Requests
from connectors.session import Session


def decorated(session: Session, make_render: MakeRender, requests: Requests | None) -> MakeRender:
    """The maker of a pipeline's renderers.

    Args:
        session: The open parts.
        make_render: Makes the renderer itself.
        requests: Takes the signals; None where there are none.
    """

    def make(layout: Layout, outgrown: Outgrown) -> Render:
        # A table that appears while the stream runs gets its topic before its first record.
        if not session.config.chain.steps:
            session.ensure_topics([layout.topic])
        session.forms.ensure(layout)
        render = session.forms.rendered(layout, make_render(layout, outgrown))
        if requests is not None and requests.channels.is_table(layout.relation.qualified):
            render = _with_signals(render, requests)
        return render

    return make


def _with_signals(render: Render, requests: Requests) -> Render:
    """The rows of the signal table are events like others, and signals besides."""

    def both(payload: bytes, lsn: bytes, state: SourceState) -> Sequence[Record]:
        return [*render(payload, lsn, state), *requests.of_row(payload, lsn)]

    return both
