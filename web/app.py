"""The application that uvicorn serves: Litestar with GraphQL, health and pages, and the start and stop of its works."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from typing import Any, Final

import structlog
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException

from errors import Code, Unavailable
from events.valkey import OUTAGES
from schema.schema import build_schema
from settings import Settings
from telemetry.outlets import Outlets
from web import pages
from web.answers import refusal
from web.connections import Watch
from web.door import Door
from web.front import Front
from web.graphql import GraphQLApp
from web.headers import Headers
from web.judging import DocumentJudge
from web.logs import configure_logs
from web.sockets import Sockets
from web.works import open_works

log = structlog.get_logger()
# A large answer is tens of thousands of containers without a cycle among them. With CPython's own thresholds (700, 10, 10) the
# collector looks at them again and again: 15 % of the CPU of twenty chats with ten messages each.
PAGE_CODES: Final = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED, 503: Code.UNAVAILABLE}
GARBAGE_THRESHOLDS: Final = (20_000, 20, 50)


def create_app(settings: Settings | None = None) -> Front:
    """Make the application; without settings they are read from the environment."""
    settings = settings or Settings.from_environment()
    configure_logs(settings)
    outlets = Outlets(settings, service="penny-web")
    door = Door(settings, build_schema(settings))
    sockets = Sockets(door)
    handlers: list[Any] = [*pages.health(door), *pages.share(), *pages.account()]
    if settings.graphiql:
        handlers += pages.graphiql()
    if settings.is_development:
        handlers.append(pages.mails(door))

    @contextlib.asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with outlets.opened(), open_works(settings, application="penny web", judge=DocumentJudge(door.documents)) as process:
            door.opened = process
            beside = [asyncio.create_task(_hear_of_revocations(door, sockets), name="revocations")]
            if process.works.replica is not None:
                beside.append(asyncio.create_task(process.works.replica.watch(), name="replica"))
            # What was made so far stays for good: the garbage collector need not look at it again and again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GARBAGE_THRESHOLDS)
            log.info("web_ready", environment=settings.environment)
            try:
                yield
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
                await sockets.close()

    app = Litestar(
        route_handlers=handlers,
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        exception_handlers={Exception: _masked},
    )
    return Front(GraphQLApp(door, sockets), Headers(app, settings), Watch(settings), sockets.drain)


async def _hear_of_revocations(door: Door, sockets: Sockets) -> None:
    """End what a revoked credential authorised, in this process, at once; what must be looked up keeps nobody from hearing the next."""
    works = door.process.works
    while True:
        try:
            async for revoked in door.process.revocations.listen():
                works.sessions.forget(revoked)
                works.api_keys.forget(revoked)
                works.models.forget(revoked)
                works.documents.forget(revoked)
                sockets.recheck(revoked)
        except (*OUTAGES, Unavailable):
            log.warning("revocations_lost_valkey")
        except Exception:
            log.exception("revocations_broke")
        await asyncio.sleep(0.5)


def _masked(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """Answer what no handler answered, in the API's own form."""
    if isinstance(error, HTTPException):
        code = PAGE_CODES.get(error.status_code, Code.BAD_REQUEST if error.status_code < 500 else Code.INTERNAL)
        return Response(refusal(code, error.detail or "Refused."), status_code=error.status_code)
    request_id = request.headers.get("x-request-id", "")
    log.error("request_failed", request_id=request_id, path=request.url.path, exc_info=error)
    return Response(refusal(Code.INTERNAL, "Something failed on our side.", requestId=request_id), status_code=500)
