"""What a person mended is written as the engine writes it, and positions order it."""

from __future__ import annotations

import pytest

from cdc.errors import ConfigError
from cdc.identity import Identity
from connectors.mending import compact


def test_blanks_go_and_everything_else_stays():
    text = b'{ "a b" : [1.10, "x \\" y", "\\\\"] ,\n "n": 12345678901234567890.0 }'
    assert compact(text, "--value") == b'{"a b":[1.10,"x \\" y","\\\\"],"n":12345678901234567890.0}'


def test_what_is_not_json_is_refused():
    with pytest.raises(ConfigError, match="--value: is not JSON"):
        compact(b"{", "--value")


def test_positions_are_ordered_by_commit_then_ordinal():
    texts = ["7/1/0/10/1", "7/1/0/10/10", "7/2/0/11/0", "7/2/1/0/0"]
    assert sorted(map(Identity.parse, reversed(texts))) == [Identity.parse(text) for text in texts]
    assert [str(Identity.parse(text)) for text in texts] == texts


@pytest.mark.parametrize("text", ["", "snapshot", "1/2", "7/1/0/10/x"])
def test_what_is_no_position_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        Identity.parse(text)
