"""What the web process counts: requests, operations, what they cost and why they were refused, and what is open."""

from http import HTTPStatus
from typing import Final

from auth.rates import CREDENTIAL, STRANGER
from errors import Code
from telemetry.instruments import SECONDS, Counter, Gauge, Histogram, Known
from web.closings import MEANINGS

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
ROUTES: Final = (
    "/", "/graphql", "/graphiql", "/share", "/account", "/verify", "/reset", "/invitation", "/health/live", "/health/ready", "/dev/mails",
)  # fmt: skip
_TYPE: Final = {"graphql.operation.type": ("query", "mutation", "subscription")}

REQUESTS: Final = Histogram(
    "http.server.request.duration",
    unit="s",
    description="How long requests took; event streams, which last, are among `penny.graphql.connections`.",
    bounds=SECONDS,
    attributes={
        "http.request.method": METHODS,
        "url.scheme": ("http", "https"),
        "http.route": ROUTES,
        "http.response.status_code": range(100, 600),
        "error.type": Known("the status, from 500 on", (*(str(status.value) for status in HTTPStatus if status >= 500),)),
    },
)
OPERATIONS: Final = Histogram(
    "penny.graphql.operation.duration",
    unit="s",
    description="How long queries and mutations ran. `partial` has data and errors; `error.type` is the code of the first error. A user's "
    "mistake that a mutation tells in its payload is no error here.",
    bounds=SECONDS,
    attributes={**_TYPE, "penny.graphql.outcome": ("ok", "partial", "failed"), "error.type": Known("codes of `docs/errors.md`")},
)
REFUSED: Final = Counter(
    "penny.graphql.refused",
    unit="{operation}",
    description="Operations of which nothing ran, by the code that says why.",
    attributes={"error.type": Known("codes of `docs/errors.md`", (*map(str, Code),))},
)
THROTTLED: Final = Counter(
    "penny.graphql.throttled",
    unit="{operation}",
    description="Operations that were refused because their caller asked too much, by bucket.",
    attributes={"penny.rate_limit.bucket": ("principal", "tenant", STRANGER, CREDENTIAL)},
)
REQUESTED: Final = Counter(
    "penny.graphql.cost.requested",
    unit="{point}",
    description="Points that operations were charged before they ran.",
    attributes=_TYPE,
)
ACTUAL: Final = Counter(
    "penny.graphql.cost.actual", unit="{point}", description="Points that the same operations turned out to cost.", attributes=_TYPE
)
COMPILED: Final = Counter("penny.graphql.compiled", unit="{operation}", description="Queries and mutations that ran as compiled plans.")
FALLBACKS: Final = Counter(
    "penny.graphql.fallbacks",
    unit="{operation}",
    description="Operations that graphql-core ran because the compiler does not, by reason.",
    attributes={"penny.graphql.reason": Known("what `execution/README.md` lists")},
)
DOCUMENTS: Final = Counter(
    "penny.graphql.documents",
    unit="{request}",
    description="Ids of documents that this process had to look up, by what came of it.",
    attributes={"penny.graphql.outcome": ("found", "unknown")},
)
KEPT_ANSWERS: Final = Counter(
    "penny.graphql.cached_answers",
    unit="{request}",
    description="Requests for queries that are marked `@cached`, by outcome: `hit`, `shared` (made for another who asked at the same "
    "time), `miss`, or `bypass` with the reason why nothing was given that is kept.",
    attributes={
        "penny.graphql.outcome": ("hit", "shared", "miss", "bypass"),
        "penny.graphql.reason": ("off", "signed-out", "fields", "variables", "version", "request"),
    },
)
CONNECTIONS: Final = Gauge(
    "penny.graphql.connections",
    unit="{connection}",
    description="WebSockets and event streams that are open.",
    attributes={"penny.graphql.transport": ("websocket", "events")},
)
SUBSCRIPTIONS: Final = Gauge("penny.graphql.subscriptions", unit="{subscription}", description="Subscriptions that are open.")
EVENTS: Final = Counter("penny.graphql.events", unit="{event}", description="Events that were told to subscribers, over either transport.")
CLOSED: Final = Counter(
    "penny.graphql.sockets.closed",
    unit="{connection}",
    description="WebSockets that the server closed, by the code that it gave.",
    attributes={"penny.graphql.close_code": Known("codes of `docs/errors.md`", MEANINGS)},
)
