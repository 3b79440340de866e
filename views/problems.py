"""Errors over HTTP: problem documents (RFC 9457)."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from cdc.errors import SeamError

PROBLEM_TYPE: Final = "application/problem+json"
_URN: Final = "urn:seam:problem:"

_STATUS: Final[dict[str, int]] = {
    "TOKEN_MALFORMED": 400,
    "QUERY_REFUSED": 400,
    "SCOPE_UNKNOWN": 400,
    "VIEW_NOT_BUILT": 503,
    "NO_PROGRESS": 501,
}
_TITLES: Final[dict[int, str]] = {
    400: "Bad request", 404: "Not found", 405: "Method not allowed", 409: "The write cannot be shown", 410: "Gone",
    500: "Internal error", 501: "Not available here", 503: "Not ready", 504: "The write is not shown yet",
}  # fmt: skip


def problem(status: int, code: str, detail: str, **members: Any) -> Response:
    """A problem document.

    Args:
        status: The HTTP status.
        code: Stable word; the problem's type is `urn:seam:problem:` and this in lower case.
        detail: What happened, for people.
        **members: Further members.
    """
    import orjson

    document = {
        "type": _URN + code.lower().replace("_", "-"), "title": _TITLES.get(status, "Error"), "status": status,
        "detail": detail, **members,
    }  # fmt: skip
    return Response(orjson.dumps(document), status_code=status, media_type=PROBLEM_TYPE)


def problem_of(error: SeamError) -> Response:
    """The problem document of an error."""
    members = {"hint": error.hint} if error.hint else {}
    status = _STATUS.get(error.code, 503 if error.exit_code == 3 else 500)
    return problem(status, error.code, error.message, **members)
