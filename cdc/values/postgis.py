"""geometry and geography of PostGIS: EWKB in hexadecimal, as a struct of the same bytes and the SRID in them."""

from __future__ import annotations

from binascii import Error, unhexlify
from collections.abc import Callable
from typing import Final

from cdc.model.schema import BYTES, OPTIONAL_INT32, Schema, Struct, Type
from cdc.values.binary import base64_json
from cdc.values.codec import Codec, ValueModes

_FIELDS: Final = [("wkb", BYTES), ("srid", OPTIONAL_INT32)]
# Debezium declares the first of the two optional, whatever the column says.
GEOMETRY: Final = Schema(
    Type.STRUCT, name="io.debezium.data.geometry.Geometry", version=1, doc="Geometry", optional=True, fields=_FIELDS
)
GEOGRAPHY: Final = Schema(
    Type.STRUCT, name="io.debezium.data.geometry.Geography", version=1, doc="Geography", fields=_FIELDS
)
SCHEMAS: Final = {"geometry": GEOMETRY, "geography": GEOGRAPHY}

_SRID_FLAG: Final = 0x2000_0000
_EMPTY_COLLECTION: Final = bytes.fromhex("010700000000000000")


def ewkb(text: bytes) -> tuple[bytes, int | None]:
    """The bytes, and the SRID that they carry.

    Raises:
        ValueError: The text is no EWKB.
    """
    try:
        data = unhexlify(text)
    except Error:
        raise ValueError("geometry is not hexadecimal EWKB") from None
    if len(data) < 5 or data[0] > 1:
        raise ValueError("geometry is not EWKB")
    order = "little" if data[0] else "big"
    if not int.from_bytes(data[1:5], order) & _SRID_FLAG:  # type: ignore[arg-type] # one of the two words
        return data, None
    if len(data) < 9:
        raise ValueError("geometry ends within its SRID")
    return data, int.from_bytes(data[5:9], order, signed=True)  # type: ignore[arg-type] # one of the two words


def _to_json(text: bytes) -> bytes:
    data, srid = ewkb(text)
    return b'{"wkb":%b,"srid":%b}' % (base64_json(data), b"null" if srid is None else b"%d" % srid)


def _values(schema: Schema) -> Callable[[bytes], Struct]:
    return lambda text: Struct(schema, ewkb(text))


def resolve(name: str, modes: ValueModes) -> Codec:
    """The codec of one of `SCHEMAS`."""
    schema = SCHEMAS[name]
    return Codec(
        schema,
        _to_json,
        _values(schema),
        unavailable=None if modes.strict else Struct(schema, [modes.unavailable, None]),
        filler=Struct(schema, [_EMPTY_COLLECTION, None]),
        bind=_values,
    )
