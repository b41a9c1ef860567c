"""Requests as GraphQL over HTTP and over WebSocket send them: read, checked for their shape, refused with a status."""

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import orjson

from errors import Code
from gateway.formats import name_of
from settings import Settings

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON: Final = "application/json"
METHODS: Final = "GET, HEAD, POST, OPTIONS"
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
"""Those that only read; the server itself leaves the body out of what answers a HEAD."""
MOST_PARAMETERS: Final = 16
_KEY: Final = re.compile(rb'"\s*:')


class Named(NamedTuple):
    """A document by its id; Apollo's clients say the hash first, and more when it is unknown."""

    name: str
    is_apollo: bool = False


class Asked(NamedTuple):
    """A well-formed request: with a document, empty where its id says which, or with both."""

    query: str
    operation_name: str | None
    variables: dict[str, Any]
    extensions: dict[str, Any]
    named: Named | None = None


class BadRequest(Exception):
    """The request cannot be read; `status` says why, and `allow` which methods there are instead."""

    def __init__(self, status: HTTPStatus, code: Code, message: str, *, allow: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.allow = allow


async def read(scope: Any, headers: Mapping[str, str], receive: Receive, settings: Settings) -> Asked | list[Asked]:
    """Read a request, or the several of a batch; raises `BadRequest`."""
    if scope["method"] in SAFE_METHODS:
        return _of_address(scope["query_string"], settings.graphql_max_body_bytes)
    if scope["method"] != "POST":
        raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED, Code.METHOD_NOT_ALLOWED, "Send a GET or a POST request.", allow=METHODS)
    _check_form(headers)
    sent = parsed(await _body(receive, settings))
    return well_formed(sent) if not isinstance(sent, list) else _batch(sent, settings.graphql_max_batch)


def well_formed(sent: Any) -> Asked:
    """Check a request's shape, of HTTP or of a socket; raises `BadRequest`."""
    if not isinstance(sent, dict):
        raise _malformed("The request must be a JSON object.")
    query, name, variables, extensions = (sent.get(key) for key in ("query", "operationName", "variables", "extensions"))
    if not isinstance(query, str | None):
        raise _malformed("`query` must be a GraphQL document.")
    if not isinstance(name, str | None):
        raise _malformed("`operationName` must be a string.")
    if not isinstance(variables, dict | None):
        raise _malformed("`variables` must be an object.")
    if not isinstance(extensions, dict | None):
        raise _malformed("`extensions` must be an object.")
    if (named := _named(sent, extensions or {}, is_alone=not query)) is None and not query:
        raise _malformed("`query` must be a GraphQL document, or `documentId` name one.")
    return Asked(query or "", name or None, variables or {}, extensions or {}, named)


def _named(sent: Mapping[str, Any], extensions: Mapping[str, Any], *, is_alone: bool) -> Named | None:
    """Read a document's id: GraphQL over HTTP's, Apollo's, or where there is no document Relay's. Empty ones are none."""
    if sent.get("documentId"):
        return Named(_id(sent["documentId"], "documentId"))
    if (persisted := extensions.get("persistedQuery")) is not None:
        if not isinstance(persisted, dict) or persisted.get("version") != 1:
            raise _malformed("`extensions.persistedQuery` must be of version 1.")
        return Named(_id(persisted.get("sha256Hash"), "extensions.persistedQuery.sha256Hash"), is_apollo=True)
    for key in ("doc_id", "id") if is_alone else ():
        if sent.get(key):
            return Named(_id(sent[key], key))
    return None


def _id(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise _malformed(f"`{key}` must be the id of a document.")
    return name_of(value)


def _batch(sent: list[Any], most: int) -> list[Asked]:
    if not most:
        raise _malformed("The request must be a JSON object: batches are not taken.")
    if not 1 <= len(sent) <= most:
        raise _malformed(f"A batch has 1 to {most} requests.")
    return [well_formed(one) for one in sent]


def _of_address(query_string: bytes, most: int) -> Asked:
    """Read the parameters of a GET request; objects are JSON in them."""
    if len(query_string) > most:
        raise BadRequest(HTTPStatus.REQUEST_URI_TOO_LONG, Code.BODY_LIMIT, f"The address is longer than {most:,} bytes.")
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise BadRequest(HTTPStatus.BAD_REQUEST, Code.BAD_REQUEST, "The address cannot be read.") from None
    sent: dict[str, Any] = dict(pairs)
    if len(sent) < len(pairs):
        raise BadRequest(HTTPStatus.BAD_REQUEST, Code.BAD_REQUEST, "A parameter is there twice.")
    for name in ("variables", "extensions"):
        if name in sent:
            sent[name] = parsed(sent[name].encode()) if sent[name] else None
    return well_formed(sent)


def _check_form(headers: Mapping[str, str]) -> None:
    """Refuse whatever is not JSON in UTF-8 as it is: what a form could send, other characters, and what must be unpacked first."""
    media, _, rest = headers.get("content-type", "").lower().partition(";")
    charset = next((part.strip()[8:].strip('"') for part in rest.split(";") if part.strip().startswith("charset=")), "utf-8")
    if media.strip() != JSON or charset not in ("utf-8", "utf8"):
        raise BadRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, Code.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json in UTF-8.")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise BadRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, Code.UNSUPPORTED_MEDIA_TYPE, "Send the body without a content coding.")


def parsed(body: bytes) -> Any:
    """Parse JSON; raises `BadRequest` for what is none, for endless nesting, and for objects that have a key twice."""
    try:
        sent = orjson.loads(body)
        # Two readers of one body must not understand two things: a key that comes twice is looked for where more came than were read.
        if len(_KEY.findall(body)) > _keys(sent):
            json.loads(body, object_pairs_hook=_once)
    except orjson.JSONDecodeError:
        raise BadRequest(HTTPStatus.BAD_REQUEST, Code.BAD_REQUEST, "The body is not JSON.") from None
    except RecursionError:
        raise BadRequest(HTTPStatus.BAD_REQUEST, Code.DEPTH_LIMIT, "The body is nested too deeply.") from None
    return sent


def _keys(value: Any) -> int:
    """Count the keys of the objects in a value."""
    if isinstance(value, dict):
        return len(value) + sum(_keys(inner) for inner in value.values() if isinstance(inner, dict | list))
    if isinstance(value, list):
        return sum(_keys(inner) for inner in value if isinstance(inner, dict | list))
    return 0


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise BadRequest(HTTPStatus.BAD_REQUEST, Code.BAD_REQUEST, "An object has the same key twice.")
    return made


def _malformed(message: str) -> BadRequest:
    return BadRequest(HTTPStatus.UNPROCESSABLE_ENTITY, Code.BAD_REQUEST, message)


async def _body(receive: Receive, settings: Settings) -> bytes:
    """Take the body; most come whole, and only one that comes in pieces needs a clock."""
    chunk, more = await _chunk(receive)
    chunks, size, most = [chunk], len(chunk), settings.graphql_max_body_bytes
    try:
        async with asyncio.timeout(settings.http_request_seconds) if more else contextlib.nullcontext():
            while more and size <= most:
                chunk, more = await _chunk(receive)
                chunks.append(chunk)
                size += len(chunk)
    except TimeoutError:
        late = f"The body did not arrive within {settings.http_request_seconds:g} s."
        raise BadRequest(HTTPStatus.REQUEST_TIMEOUT, Code.BAD_REQUEST, late) from None
    if size > most:
        raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, Code.BODY_LIMIT, f"The body is larger than {most:,} bytes.")
    return b"".join(chunks)


async def _chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] != "http.request":
        raise BadRequest(HTTPStatus.BAD_REQUEST, Code.BAD_REQUEST, "The body did not arrive.")
    return message.get("body", b""), message.get("more_body", False)
