"""Requests as GraphQL over HTTP and over WebSocket send them: read, checked for their shape, refused with a status."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import orjson

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

JSON: Final = "application/json"


class Asked(NamedTuple):
    """A well-formed request."""

    query: str
    operation_name: str | None
    variables: dict[str, Any]


class BadRequest(Exception):
    """The request cannot be read; `status` says why."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def read(method: str, headers: Mapping[str, str], body: bytes) -> Asked:
    """Read a request; raises `BadRequest`."""
    if method != "POST":
        raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "Send a POST request.")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise BadRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", "The body must be application/json.")
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", "The body is not JSON.") from None
    return well_formed(sent)


def well_formed(sent: Any) -> Asked:
    """Check a request's shape, of HTTP or of a socket; raises `BadRequest`."""
    if not isinstance(sent, dict):
        raise _malformed("The request must be a JSON object.")
    query, name, variables = sent.get("query"), sent.get("operationName"), sent.get("variables")
    if not isinstance(query, str) or not query:
        raise _malformed("`query` must be a GraphQL document.")
    if not isinstance(name, str | None):
        raise _malformed("`operationName` must be a string.")
    if not isinstance(variables, dict | None):
        raise _malformed("`variables` must be an object.")
    return Asked(query, name or None, variables or {})


def _malformed(message: str) -> BadRequest:
    return BadRequest(HTTPStatus.UNPROCESSABLE_ENTITY, "BAD_REQUEST", message)


async def body_of(receive: Receive, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise BadRequest(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", "The body did not arrive.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > most:
            raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "BODY_LIMIT", f"The body is larger than {most:,} bytes.")
        if not message.get("more_body"):
            return b"".join(chunks)
