"""GraphQL over HTTP, as its release of September 2026 has it: `POST /graphql` with a JSON body, or `GET` with a query in the address."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from math import ceil
from typing import Any, Final, NamedTuple

import orjson
import structlog
from graphql import ExecutionResult, OperationType

from auth.viewers import Viewer
from errors import Code, PennyError, RateLimited, Unauthenticated, Unavailable
from resolvers.operations import Caller, Operation
from web.answers import answer, count_refusal, refusal, refused
from web.caching import is_asked_anew, is_held, kept, lasting
from web.callers import bearer_token, caller_of, cookie_token, headers_of, origin_may_use_cookies, set_cookie
from web.compression import packed, takes_gzip
from web.credentials import Credential
from web.documents import DocumentIsBad, Prepared
from web.door import Door
from web.event_streams import COMPLETE, EventStream, event
from web.front import LASTS, STATUS
from web.headers import Cors, of_api, rate_limit, rate_limited
from web.negotiation import Media, accepted
from web.repeats import Repeats
from web.requests import METHODS, SAFE_METHODS, Asked, BadRequest, Headers, Receive, Send, read
from web.sockets import Sockets
from web.timing import UNTIMED, Timing
from web.whole_answers import EXTENSION, Answers, lines_of

log = structlog.get_logger()

PARTIAL: Final = 294
"""Data that came with errors; Python's `HTTPStatus` does not know it."""
_STATUS: Final = {
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
}
_CONTENT_TYPES: Final = {media: f"{media.value}; charset=utf-8".encode() for media in Media}
READING: Final = frozenset({OperationType.QUERY})
FOLLOWING: Final = frozenset({OperationType.SUBSCRIPTION})
LASTING: Final = frozenset({b"cache-control", b"vary"})
BODILESS: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
WRITING: Final = frozenset({OperationType.QUERY, OperationType.MUTATION})


class GraphQLApp:
    """The ASGI application behind `/graphql`, for HTTP and WebSocket."""

    def __init__(self, door: Door, sockets: Sockets) -> None:
        self._door = door
        self._sockets = sockets
        self.repeats = Repeats(door)
        self._cors = Cors(door.settings)
        self._always = [*of_api(door.settings), (b"vary", b"Accept, Accept-Encoding, Origin")]
        self._lasting = [pair for pair in self._always if pair[0] not in LASTING]
        self._lines, self._lasting_lines = lines_of(self._always), lines_of(self._lasting)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._sockets.serve(scope, receive, send)
            return
        headers = headers_of(scope)
        request = Request(self._door, self.repeats, scope, headers, accepted(headers.get("accept", "")))
        if scope["method"] == "OPTIONS":
            await self._preflight(request, send)
        elif _is_for_people(scope, headers) and self._door.settings.graphiql:
            await self._respond(request, send, HTTPStatus.SEE_OTHER, b"", [(b"location", b"/graphiql")])
        else:
            status, answered = await request.answered(receive)
            if isinstance(answered, Follow):
                scope[LASTS] = True
                await self._stream(request, answered, receive, send)
                return
            status, content = request.revalidated(*_written(status, answered, request.media))
            await self._respond(request, send, status, content, request.more)

    async def _stream(self, request: "Request", follow: "Follow", receive: Receive, send: Send) -> None:
        """Tell a subscription as events; nothing on the way may gather or change them (nginx heeds `X-Accel-Buffering`)."""
        headers = [
            *self._always,
            *request.more,
            *self._cors.on_answer(request.headers.get("origin")),
            (b"content-type", _CONTENT_TYPES[Media.EVENTS]),
            (b"x-accel-buffering", b"no"),
            (b"x-request-id", request.caller.request_id.encode()),
        ]
        credential = Credential(self._door, request.token, follow.operation.credential)
        stream = EventStream(self._door, request.caller, credential, receive, send, headers)
        await self._sockets.serve_events(stream, *follow)

    async def _preflight(self, request: "Request", send: Send) -> None:
        more = [(b"allow", METHODS.encode()), *self._cors.preflight(request.headers.get("origin"))]
        await self._respond(request, send, HTTPStatus.NO_CONTENT, b"", more)

    async def _respond(self, request: "Request", send: Send, status: int, content: bytes, more: Headers) -> None:
        request.note(status)
        headers = [*more, (b"x-request-id", request.caller.request_id.encode())]
        if content:
            headers.append((b"content-type", _CONTENT_TYPES[request.media]))
        least = self._door.settings.http_compress_bytes
        if least and len(content) >= least and takes_gzip(request.headers.get("accept-encoding", "")):
            content = await packed(content)
            headers.append((b"content-encoding", b"gzip"))
        if (origin := request.headers.get("origin")) is not None and status != HTTPStatus.NO_CONTENT:
            headers += self._cors.on_answer(origin)
        if status not in BODILESS:
            headers.append((b"content-length", b"%d" % len(content)))
        if self._door.settings.server_timing:
            headers.append((b"server-timing", request.timing.header()))
        if (answers := request.answers) is not None:
            await answers.send(status, self._lasting_lines if request.lasts else self._lines, headers, content)
            return
        with suppress(OSError):  # the client went away
            usual = self._lasting if request.lasts else self._always
            await send({"type": "http.response.start", "status": int(status), "headers": [*usual, *headers]})
            await send({"type": "http.response.body", "body": content})


class Follow(NamedTuple):
    """A subscription that was admitted."""

    prepared: Prepared
    operation: Operation
    variables: dict[str, Any]


class Request:
    """One HTTP request on its way: `more` are the headers that its answer needs."""

    def __init__(self, door: Door, repeats: Repeats, scope: Any, headers: Mapping[str, str], wanted: Media | None) -> None:
        self._door = door
        self._repeats = repeats
        self._scope = scope
        self.headers = headers
        self.caller: Caller = caller_of(scope, headers, door.settings)
        self._wanted = wanted
        self._reads = scope["method"] in SAFE_METHODS
        self.answers: Answers | None = scope.get("extensions", {}).get(EXTENSION)
        self.media = wanted or Media.JSON
        self.more: Headers = []
        self.token: str | None = None
        self._tag: str | None = None
        self.timing = Timing() if door.settings.server_timing else UNTIMED

    def note(self, status: int) -> None:
        """Say in the scope how the request was answered, for whoever counts."""
        self._scope[STATUS] = int(status)

    async def answered(self, receive: Receive) -> tuple[int, Any]:
        """Answer, whatever comes of it, with a status and the body's JSON."""
        try:
            self._check_accept()
            asked = await read(self._scope, self.headers, receive, self._door.settings)
            viewer = await self._viewer()
            self.timing.passed("auth")
            if isinstance(asked, list):
                if self.media is Media.EVENTS:  # a stream tells one operation
                    self.media = Media.JSON
                return HTTPStatus.OK, [await self._one_of_many(one, viewer) for one in asked]
            prepared, operation = await self._admitted(asked, viewer)
            if prepared.kind is OperationType.SUBSCRIPTION:
                self._tell_charge(operation)
                self._door.crowds.check(self.caller.address)
                return HTTPStatus.OK, Follow(prepared, operation, asked.variables)
            may_last = asked.named is not None and self._reads and self.media is not Media.EVENTS
            result = await self._ran(prepared, operation, asked.variables, may_last=may_last)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered in the API's own form
            return self._refused(error)
        return self._status(result), answer(result, self.caller.request_id)

    def revalidated(self, status: int, content: bytes) -> tuple[int, bytes]:
        """Let the client keep an answer that may last, and send it nothing that it holds already."""
        if self._tag is None:
            return status, content
        self._set(lasting(self._tag, is_public=self.token is None))
        return (HTTPStatus.NOT_MODIFIED, b"") if is_held(self.headers.get("if-none-match"), self._tag) else (status, content)

    @property
    def lasts(self) -> bool:
        """Whether the client may keep the answer."""
        return self._tag is not None

    def _check_accept(self) -> None:
        if self._wanted is None:
            offered = ", ".join(media.value for media in Media)
            raise BadRequest(HTTPStatus.NOT_ACCEPTABLE, Code.NOT_ACCEPTABLE, f"Accept one of: {offered}.")

    async def _one_of_many(self, asked: Asked, viewer: Viewer | Unauthenticated | None) -> dict[str, Any]:
        """Answer one request of a batch; what is wrong with it is told in its place."""
        try:
            prepared, operation = await self._admitted(asked, viewer)
            return answer(await self._ran(prepared, operation, asked.variables), self.caller.request_id)
        except Exception as error:  # noqa: BLE001 - as for a request that comes alone
            return self._refused(error)[1]

    async def _admitted(self, asked: Asked, viewer: Viewer | Unauthenticated | None) -> tuple[Prepared, Operation]:
        is_told = self.media is Media.EVENTS and self._scope["method"] != "HEAD"
        kinds = (READING if self._reads else WRITING) | (FOLLOWING if is_told else frozenset())
        prepared, operation = await self._door.admit(asked, self.caller, viewer, kinds)
        self.timing.passed("admission")
        return prepared, operation

    async def _ran(self, prepared: Prepared, operation: Operation, variables: dict[str, Any], *, may_last: bool = False) -> ExecutionResult:
        # For this request alone: the server gives each one a task, and so a context, of its own.
        structlog.contextvars.bind_contextvars(request_id=self.caller.request_id)
        if may_last:
            result = await self._repeated(prepared, operation, variables)
        else:
            result = await self._door.run(prepared, operation, variables)
        self.timing.passed("execution")
        self._tell_charge(operation)  # less by now: what it did not cost was given back
        if operation.session_cookie is not None:
            self._set([(b"set-cookie", set_cookie(self._door.settings, operation.session_cookie).encode())])
        return result

    async def _repeated(self, prepared: Prepared, operation: Operation, variables: dict[str, Any]) -> ExecutionResult:
        """Answer what may have been answered before."""
        anew = is_asked_anew(self.headers.get("cache-control"))
        repeat = await self._repeats.answer(prepared, operation, variables, anew=anew)
        self._tag = repeat.tag
        if repeat.status is not None:
            self._set(kept(repeat.status, repeat.age))
        return repeat.result

    def _tell_charge(self, operation: Operation) -> None:
        if operation.charge is not None:
            self._set(rate_limit(operation.charge))

    def _set(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        names = {name for name, _ in headers}
        self.more = [*(pair for pair in self.more if pair[0] not in names), *headers]

    async def _viewer(self) -> Viewer | Unauthenticated | None:
        """Find the viewer; a cookie counts only from pages that may use it, and a dead one is left to the fields to refuse."""
        if (header := self.headers.get("authorization")) is not None:
            self.token = bearer_token(header)
            return await self._door.viewer_of(self.token, self.caller)
        if (token := cookie_token(self.headers, self._door.settings)) is None:
            return None
        if not origin_may_use_cookies(self.headers, self._door.settings):
            raise BadRequest(HTTPStatus.FORBIDDEN, Code.FORBIDDEN, "This origin may not use the session cookie.")
        self.token = token
        try:
            return await self._door.viewer_of(token, self.caller)
        except Unauthenticated as dead:
            return dead

    def _status(self, result: ExecutionResult) -> int:
        """A result is 200; in the newer media type one that could not begin is 422, and one that has errors 294."""
        if not result.errors or self.media is not Media.GRAPHQL:
            return HTTPStatus.OK
        if result.data is None and not any(error.path for error in result.errors):
            return HTTPStatus.UNPROCESSABLE_ENTITY
        return PARTIAL if self._door.settings.graphql_partial_status else HTTPStatus.OK

    def _refused(self, error: Exception) -> tuple[int, dict[str, Any]]:
        """Answer what could not begin, and count it."""
        status, told = self._refusal(error)
        count_refusal(told["errors"])
        return status, told

    def _refusal(self, error: Exception) -> tuple[int, dict[str, Any]]:
        """Answer what could not begin, with the status that GraphQL over HTTP has for it; only documents' mistakes are told as events."""
        if self.media is Media.EVENTS and not isinstance(error, DocumentIsBad):
            self.media = Media.JSON
        if isinstance(error, BadRequest):
            if error.allow is not None:
                self._set([(b"allow", error.allow.encode())])
            return error.status, refusal(error.code, str(error))
        if isinstance(error, DocumentIsBad):
            # A client that knows only plain JSON reads errors in an answer that is well.
            return error.status if self.media is Media.GRAPHQL else HTTPStatus.OK, answer(error.result, "")
        if isinstance(error, RateLimited):
            self._set([(b"retry-after", b"%d" % ceil(error.retry_after_ms / 1000))])
            if (bucket := self._door.process.works.rates.bucket(error.bucket)) is not None:
                self._set(rate_limited(bucket, error.retry_after_ms))
        if isinstance(error, Unauthenticated):
            self._set([(b"www-authenticate", b"Bearer")])
        if isinstance(error, PennyError):
            return next((status for family, status in _STATUS.items() if isinstance(error, family)), HTTPStatus.FORBIDDEN), refused(error)
        log.error("request_failed", request_id=self.caller.request_id, exc_info=error)
        masked = refusal(Code.INTERNAL, "Something failed on our side.", requestId=self.caller.request_id)
        return HTTPStatus.INTERNAL_SERVER_ERROR, masked


def _is_for_people(scope: Any, headers: Mapping[str, str]) -> bool:
    """Whether a browser was pointed at the API: a page is more use to it."""
    return scope["method"] in SAFE_METHODS and not scope["query_string"] and headers.get("accept", "").startswith("text/html")


def _written(status: int, body: Any, media: Media) -> tuple[int, bytes]:
    try:
        content = orjson.dumps(body, default=str)
    except TypeError:  # a number or a depth that JSON's readers could not take either
        log.exception("answer_cannot_be_written")
        status, content = HTTPStatus.INTERNAL_SERVER_ERROR, orjson.dumps(refusal(Code.INTERNAL, "Something failed on our side."))
    return status, event(content) + COMPLETE if media is Media.EVENTS else content
