"""The errors of views."""

from __future__ import annotations

from cdc.errors import OperatorError, RetriableError


class ViewDamaged(OperatorError):
    """The stored view cannot be read."""

    code = "VIEW_DAMAGED"


class ViewBusy(OperatorError):
    """Another process keeps this view up to date."""

    code = "VIEW_BUSY"


class ViewNotBuilt(OperatorError):
    """The view was never complete."""

    code = "VIEW_NOT_BUILT"


class StoreFull(RetriableError):
    """The view's disk is full or not writable; the view stands where it was."""

    code = "STORE_FULL"


class TopicGone(RetriableError):
    """A topic that the view was built from is not there; the view keeps what it has."""

    code = "TOPIC_GONE"


class MemoryLimit(OperatorError):
    """The view would need more memory than it may take."""

    code = "MEMORY_LIMIT"


class KeysMissing(OperatorError):
    """The topic's records have no keys, so that there is nothing to find a row by."""

    code = "KEYS_MISSING"


class SchemaIncompatible(OperatorError):
    """The form of a topic's records changed so that old and new rows cannot stand in one view."""

    code = "SCHEMA_INCOMPATIBLE"


class QueryRefused(OperatorError):
    """The view cannot answer that question."""

    code = "QUERY_REFUSED"
