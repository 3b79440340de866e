"""From the names in a configuration to classes: full Java names, and the short ones that a Connect worker knows."""

from __future__ import annotations

import difflib
from typing import Final

from cdc.transforms import (
    cast,
    extract_field,
    filtering,
    flatten,
    headers,
    hoist_field,
    insert_field,
    mask_field,
    predicates,
    replace_field,
    routers,
    set_schema_metadata,
    timestamp_converter,
    value_to_key,
)
from cdc.transforms.base import Predicate, Transform

_TRANSFORMS: Final[tuple[type[Transform], ...]] = (
    cast.CastKey, cast.CastValue, extract_field.ExtractFieldKey, extract_field.ExtractFieldValue, filtering.Filter,
    flatten.FlattenKey, flatten.FlattenValue, headers.DropHeaders, headers.HeaderFromKey, headers.HeaderFromValue,
    headers.InsertHeader, hoist_field.HoistFieldKey, hoist_field.HoistFieldValue, insert_field.InsertFieldKey,
    insert_field.InsertFieldValue, mask_field.MaskFieldKey, mask_field.MaskFieldValue, replace_field.ReplaceFieldKey,
    replace_field.ReplaceFieldValue, routers.RegexRouter, routers.TimestampRouter,
    set_schema_metadata.SetSchemaMetadataKey, set_schema_metadata.SetSchemaMetadataValue,
    timestamp_converter.TimestampConverterKey, timestamp_converter.TimestampConverterValue, value_to_key.ValueToKey,
)  # fmt: skip
_PREDICATES: Final[tuple[type[Predicate], ...]] = (
    predicates.HasHeaderKey, predicates.RecordIsTombstone, predicates.TopicNameMatches,
)  # fmt: skip


def _names(java_name: str) -> tuple[str, ...]:
    return java_name, java_name.rpartition(".")[2]


TRANSFORMS: Final[dict[str, type[Transform]]] = {
    name: transform for transform in _TRANSFORMS for name in _names(transform.java_name)
}
PREDICATES: Final[dict[str, type[Predicate]]] = {
    name: predicate for predicate in _PREDICATES for name in _names(predicate.java_name)
}


def nearest(name: str, known: dict[str, type[Transform]] | dict[str, type[Predicate]]) -> tuple[str, ...]:
    """Names that were probably meant, best first."""
    return tuple(difflib.get_close_matches(name, known, n=2, cutoff=0.7))
