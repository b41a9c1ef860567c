"""Pages beside the API: health for machines, pages behind links, GraphiQL for developers, and a development process's mails."""

import html
import re
from pathlib import Path
from typing import Any, Final

from litestar import MediaType, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect
from litestar.router import Router
from litestar.static_files import create_static_files_router

from web.door import Door
from web.headers import MAILED, MAILS_STYLE
from web.readiness import Readiness, parts_of

GRAPHIQL: Final = Path(__file__).parent / "graphiql" / "dist"
SHARE: Final = Path(__file__).parent / "share"
ACCOUNT: Final = Path(__file__).parent / "account"
PARTS: Final = ("page.html", "page.css", "page.js")
LINKED_HEADERS: Final = {"x-robots-tag": "noindex, nofollow, noarchive", "cache-control": "no-cache"}
# The mails hold links that reset passwords: this machine only, under its own name (a page elsewhere may point a name of its own here).
LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def health(door: Door) -> list[HTTPRouteHandler]:
    """Make `/health/live` (the process runs) and `/health/ready` (and everything it needs answers)."""
    readiness = Readiness(parts_of(door))

    @get("/health/live", sync_to_thread=False)
    def live() -> dict[str, str]:
        return {"status": "ok"}

    @get("/health/ready")
    async def ready() -> Response[dict[str, Any]]:
        parts = await readiness.parts()
        well = all(word == "ok" for word in parts.values())
        return Response({"status": "ok" if well else "unavailable", "parts": parts}, status_code=200 if well else 503)

    return [live, ready]


def share() -> list[HTTPRouteHandler]:
    """Make `/share`, the page behind links to chats; what it shows it reads through the API, by what stands behind the link's `#`."""
    page, style, script = ((SHARE / name).read_bytes() for name in PARTS)
    return [_served("/share", page, "text/html"), *_parts("/share", style, script)]


def account() -> list[HTTPRouteHandler]:
    """Make the pages behind mailed links: each is the same one, and does through the API what its address says."""
    page, style, script = ((ACCOUNT / name).read_bytes() for name in PARTS)
    return [*(_served(path, page, "text/html") for path in MAILED), *_parts("/account", style, script)]


def _parts(folder: str, style: bytes, script: bytes) -> list[HTTPRouteHandler]:
    return [_served(f"{folder}/page.css", style, "text/css"), _served(f"{folder}/page.js", script, "text/javascript")]


def _served(path: str, content: bytes, media_type: str) -> HTTPRouteHandler:
    @get(path, media_type=media_type, sync_to_thread=False, response_headers=LINKED_HEADERS, name=path)
    def serve() -> bytes:
        return content

    return serve


def graphiql() -> list[Router | HTTPRouteHandler]:
    """Make `/graphiql`, to which `/` leads; a page that says how to build it where it was not built."""

    @get("/", sync_to_thread=False)
    def root() -> Redirect:
        return Redirect("/graphiql", status_code=302)

    if (GRAPHIQL / "index.html").exists():
        return [root, create_static_files_router("/graphiql", directories=[GRAPHIQL], html_mode=True, name="graphiql")]

    @get("/graphiql", media_type=MediaType.HTML, sync_to_thread=False)
    def missing() -> str:
        return "<!doctype html><title>GraphiQL</title><p>GraphiQL is not built here: run <code>make web/graphiql/dist/index.html</code>."

    return [root, missing]


def linked(text: str, own: str) -> str:
    """Spell a text as HTML whose addresses below `own` are links; others may be a stranger's, in a name."""
    return re.sub(rf"{re.escape(html.escape(own.rstrip('/')))}/[^\s<>]*", r'<a href="\g<0>">\g<0></a>', html.escape(text))


def mails(door: Door) -> HTTPRouteHandler:
    """Make `/dev/mails`, the newest mails of a development process; it is not there in production."""

    @get("/dev/mails", media_type=MediaType.HTML)
    async def page(request: Request[Any, Any, Any]) -> str:
        if request.url.hostname not in LOCAL or (request.client and request.client.host not in LOCAL):
            raise NotFoundException
        rows = await door.process.mail_queue.recent(50)
        own = door.settings.public_url
        shown = "".join(
            f"<article><h2>{html.escape(mail.subject)}</h2><p>to {html.escape(mail.to)}</p><pre>{linked(mail.text, own)}</pre></article>"
            for mail in (row.mail for row in rows)
        )
        head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Mails</title><style>{MAILS_STYLE}</style>'
        return f"{head}<h1>Mails</h1>{shown or '<p>None yet.'}"

    return page
