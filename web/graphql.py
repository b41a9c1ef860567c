"""GraphQL over HTTP: `POST /graphql` with a JSON body, answered as GraphQL over HTTP (September 2026) has it."""

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any, Final

import orjson
import structlog
from graphql import ExecutionResult, OperationType

from auth.viewers import Viewer
from errors import PennyError, RateLimited, Unauthenticated, Unavailable
from resolvers.operations import Caller
from web.answers import answer, refusal, refused
from web.callers import bearer_token, caller_of, cookie_token, headers_of, origin_may_use_cookies, set_cookie, viewer_of_token
from web.documents import DocumentIsBad
from web.door import Door
from web.headers import API_POLICY, always, rate_limit
from web.requests import JSON, BadRequest, Receive, Send, body_of, read
from web.sockets import Sockets

log = structlog.get_logger()

Headers = list[tuple[bytes, bytes]]
GRAPHQL_JSON: Final = "application/graphql-response+json"
_STATUS: Final = {
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
}
_MEDIA: Final = {media: f"{media}; charset=utf-8".encode() for media in (GRAPHQL_JSON, JSON)}


class GraphQLApp:
    """The ASGI application behind `/graphql`, for HTTP and WebSocket."""

    def __init__(self, door: Door, sockets: Sockets) -> None:
        self._door = door
        self._sockets = sockets
        self._always = [*always(door.settings), (b"content-security-policy", API_POLICY.encode()), (b"cache-control", b"no-store")]

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._sockets.serve(scope, receive, send)
            return
        headers = headers_of(scope)
        caller = caller_of(scope, headers, self._door.settings)
        media = GRAPHQL_JSON if GRAPHQL_JSON in headers.get("accept", "") else JSON
        more: Headers = []
        try:
            status, body = await self._answered(scope["method"], headers, caller, receive, more)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered in the API's own form
            status, body = _refused(error, media, caller)
            if isinstance(error, RateLimited):
                more.append((b"retry-after", b"%d" % ceil(error.retry_after_ms / 1000)))
        await self._respond(send, caller, status, media, body, more)

    async def _answered(
        self, method: str, headers: Mapping[str, str], caller: Caller, receive: Receive, more: Headers
    ) -> tuple[HTTPStatus, dict[str, Any]]:
        settings = self._door.settings
        asked = read(method, headers, await body_of(receive, settings.graphql_max_body_bytes))
        viewer = await self._viewer(headers)
        prepared, operation = await self._door.admit(asked, caller, viewer)
        if prepared.kind is OperationType.SUBSCRIPTION:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "BAD_USER_INPUT", "Subscriptions are served over WebSocket (graphql-transport-ws).")
        # For this request alone: the server gives each one a task, and so a context, of its own.
        structlog.contextvars.bind_contextvars(request_id=caller.request_id)
        result = await self._door.run(prepared, operation, asked.variables)
        if operation.charge is not None:
            more += rate_limit(operation.charge)
        if operation.session_cookie is not None:
            more.append((b"set-cookie", set_cookie(settings, operation.session_cookie).encode()))
        return _status(result, headers), answer(result, caller.request_id)

    async def _respond(  # noqa: PLR0913 - all that an answer is made of
        self, send: Send, caller: Caller, status: HTTPStatus, media: str, body: dict[str, Any], more: Headers
    ) -> None:
        status, content = _written(status, body)
        headers = [
            (b"content-type", _MEDIA[media]),
            (b"content-length", str(len(content)).encode()),
            (b"x-request-id", caller.request_id.encode()),
            *self._always,
            *more,
        ]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append((b"allow", b"POST"))
        await send({"type": "http.response.start", "status": status.value, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _viewer(self, headers: Mapping[str, str]) -> Viewer | Unauthenticated | None:
        """Find the viewer; a cookie counts only from pages that may use it, and a dead one is left to the fields to refuse."""
        works = self._door.process.works
        if (header := headers.get("authorization")) is not None:
            return await viewer_of_token(works, bearer_token(header))
        if (token := cookie_token(headers, self._door.settings)) is None:
            return None
        if not origin_may_use_cookies(headers, self._door.settings):
            raise BadRequest(HTTPStatus.FORBIDDEN, "FORBIDDEN", "This origin may not use the session cookie.")
        try:
            return await viewer_of_token(works, token)
        except Unauthenticated as dead:
            return dead


def _status(result: ExecutionResult, headers: Mapping[str, str]) -> HTTPStatus:
    """A result is 200; in the newer media type one that could not begin is 422."""
    began = result.data is not None or not result.errors or any(error.path for error in result.errors)
    return HTTPStatus.OK if began or GRAPHQL_JSON not in headers.get("accept", "") else HTTPStatus.UNPROCESSABLE_ENTITY


def _refused(error: Exception, media: str, caller: Caller) -> tuple[HTTPStatus, dict[str, Any]]:
    """Answer what could not begin, with the status that GraphQL over HTTP has for it."""
    if isinstance(error, BadRequest):
        return error.status, refusal(error.code, str(error))
    if isinstance(error, DocumentIsBad):
        # A client that knows only plain JSON reads errors in an answer that is well.
        is_plain = media == JSON and error.status == HTTPStatus.UNPROCESSABLE_ENTITY
        return HTTPStatus.OK if is_plain else HTTPStatus(error.status), answer(error.result, "")
    if isinstance(error, PennyError):
        return next((status for family, status in _STATUS.items() if isinstance(error, family)), HTTPStatus.FORBIDDEN), refused(error)
    log.error("request_failed", request_id=caller.request_id, exc_info=error)
    return HTTPStatus.INTERNAL_SERVER_ERROR, refusal("INTERNAL", "Something failed on our side.", requestId=caller.request_id)


def _written(status: HTTPStatus, body: dict[str, Any]) -> tuple[HTTPStatus, bytes]:
    try:
        return status, orjson.dumps(body, default=str)
    except TypeError:  # a number or a depth that JSON's readers could not take either
        log.exception("answer_cannot_be_written")
        return HTTPStatus.INTERNAL_SERVER_ERROR, orjson.dumps(refusal("INTERNAL", "Something failed on our side."))
