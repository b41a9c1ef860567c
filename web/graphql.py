"""GraphQL over HTTP: `POST /graphql` with a JSON body, answered as GraphQL over HTTP (September 2026) has it."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from graphql import ExecutionResult, OperationType

from auth.viewers import Viewer
from errors import PennyError, Unauthenticated, Unavailable
from web.answers import answer, code_of, refusal
from web.callers import bearer_token, caller_of, cookie_token, headers_of, origin_may_use_cookies, set_cookie, viewer_of_token
from web.documents import DocumentIsBad
from web.door import Door
from web.requests import JSON, BadRequest, Receive, body_of, read
from web.sockets import Sockets

Send = Callable[[Any], Awaitable[None]]
log = structlog.get_logger()

GRAPHQL_JSON: Final = "application/graphql-response+json"


class GraphQLApp:
    """The ASGI application behind `/graphql`, for HTTP and WebSocket."""

    def __init__(self, door: Door, sockets: Sockets) -> None:
        self._door = door
        self._sockets = sockets

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._sockets.serve(scope, receive, send)
            return
        headers = headers_of(scope)
        media = GRAPHQL_JSON if GRAPHQL_JSON in headers.get("accept", "") else JSON
        cookies: list[str] = []
        try:
            status, body = await self._answered(scope, headers, receive, cookies)
        except BadRequest as bad:
            status, body = bad.status, refusal(bad.code, str(bad))
        except DocumentIsBad as bad:
            status, body = HTTPStatus(bad.status), answer(bad.result, "")
            if media == JSON:
                status = HTTPStatus.OK if bad.status == HTTPStatus.UNPROCESSABLE_ENTITY else status
        except Unauthenticated as error:
            status, body = HTTPStatus.UNAUTHORIZED, refusal(code_of(error), error.message)
        except Unavailable as error:
            status, body = HTTPStatus.SERVICE_UNAVAILABLE, refusal(error.code, error.message)
        except PennyError as error:
            status, body = HTTPStatus.FORBIDDEN, refusal(code_of(error), error.message)
        await _respond(send, status, media, body, cookies)

    async def _answered(
        self, scope: Any, headers: Mapping[str, str], receive: Receive, cookies: list[str]
    ) -> tuple[HTTPStatus, dict[str, Any]]:
        settings = self._door.settings
        asked = read(scope["method"], headers, await body_of(receive, settings.graphql_max_body_bytes))
        viewer = await self._viewer(headers)
        prepared = self._door.documents.prepare(asked.query, asked.operation_name, asked.variables)
        if prepared.kind is OperationType.SUBSCRIPTION:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "BAD_USER_INPUT", "Subscriptions are served over WebSocket (graphql-transport-ws).")
        caller = caller_of(scope, headers, settings)
        operation = self._door.operation(caller, viewer)
        with structlog.contextvars.bound_contextvars(request_id=caller.request_id):
            result = await self._door.run(prepared, operation, asked.variables)
        if operation.session_cookie is not None:
            cookies.append(set_cookie(settings, operation.session_cookie))
        return _status(result, headers), answer(result, caller.request_id)

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


async def _respond(send: Send, status: HTTPStatus, media: str, body: dict[str, Any], cookies: list[str]) -> None:
    try:
        content = orjson.dumps(body, default=str)
    except TypeError:  # a number or a depth that JSON's readers could not take either
        log.exception("answer_cannot_be_written")
        content, status = orjson.dumps(refusal("INTERNAL", "Something failed on our side.")), HTTPStatus.INTERNAL_SERVER_ERROR
    headers = [
        (b"content-type", f"{media}; charset=utf-8".encode()),
        (b"content-length", str(len(content)).encode()),
        (b"cache-control", b"no-store"),
        *((b"set-cookie", cookie.encode()) for cookie in cookies),
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": content})
