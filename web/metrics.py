"""What the web process counts. The names follow OpenTelemetry's conventions; nothing is counted until an SDK is set up."""

from typing import Final

from opentelemetry import metrics

_METER: Final = metrics.get_meter("penny.web")

THROTTLED: Final = _METER.create_counter(
    "penny.graphql.throttled",
    unit="{operation}",
    description="Operations that were refused because their caller asked too much, by bucket.",
)
FALLBACKS: Final = _METER.create_counter(
    "penny.graphql.fallbacks", unit="{operation}", description="Operations that graphql-core ran because the compiler does not, by reason."
)
DOCUMENTS: Final = _METER.create_counter(
    "penny.graphql.documents", unit="{request}", description="Ids of documents that this process had to look up, by what came of it."
)
KEPT_ANSWERS: Final = _METER.create_counter(
    "penny.graphql.cached_answers",
    unit="{request}",
    description="Requests for queries that are marked `@cached`, by outcome: `hit`, `shared` (made for another who asked at the same "
    "time), `miss`, or `bypass` with the reason why nothing could be kept.",
)
