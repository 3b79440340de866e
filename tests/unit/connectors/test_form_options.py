"""Which options on the form of topics and events stand together."""

from __future__ import annotations

import pytest

from connectors.form_options import form_problems

JSON = {"value.converter": "org.apache.kafka.connect.json.JsonConverter", "skipped.operations": ["t"]}


def problems(**options):
    given = {name.replace("__", "."): value for name, value in options.items()}
    return " ".join(text for _, text in form_problems({**JSON, **given}, value_schemas=False))


def test_the_defaults_stand():
    assert problems(seam__topic__latest="none", seam__event__form="fact") == ""


def test_latest_by_transaction_stands_with_exactly_once():
    assert problems(seam__topic__latest="transaction", exactly__once__support="required") == ""
    assert "exactly.once.support=required" in problems(seam__topic__latest="transaction")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"skipped__operations": ["none"]}, "TRUNCATE"),
        ({"seam__compat": "strict"}, "seam.compat=safe"),
        ({"seam__event__form": "delta"}, "seam.event.form=fact"),
    ],
)
def test_a_latest_topic_refuses_what_would_break_it(options, text):
    assert text in problems(seam__topic__latest="copy", **options)


def test_deltas_are_json_without_schemas_and_without_transforms():
    assert problems(seam__event__form="delta") == ""
    assert "JsonConverter" in problems(seam__event__form="delta", value__converter="x.AvroConverter")
    assert "transforms" in problems(seam__event__form="delta", transforms=["unwrap"])
    assert form_problems({**JSON, "seam.event.form": "delta"}, value_schemas=True)
