"""Paths of `field.syntax.version=V2`."""

from __future__ import annotations

import pytest

from cdc.model.javaerrors import ConfigException
from cdc.transforms.field_path import parse_path


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", ()),
        ("..", ("", "", "")),
        ("a..", ("a", "", "")),
        ("a.b.c", ("a", "b", "c")),
        ("x`y`z", ("x`y`z",)),
        ("`a.b`", ("a.b",)),
        ("a.`b.c`", ("a", "b.c")),
        ("`a.b`.c", ("a.b", "c")),
        ("a.`b`c.d`", ("a", "b`c.d")),
        (r"a.`b\`.c`", ("a", "b`.c")),
    ],
)
def test_dots_part_backticks_protect_and_backslashes_protect_backticks(text, steps):
    assert parse_path(text) == steps


@pytest.mark.parametrize(("text", "position"), [("`a.b", 0), ("a.`b", 2), (r"a.`b\`", 2)])
def test_an_open_backtick_is_refused_with_its_place(text, position):
    with pytest.raises(ConfigException, match=f"at position {position} to escape it"):
        parse_path(text)
