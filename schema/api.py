"""What the API says of itself: its version and its limits, for anybody."""

from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import strawberry

from auth.rates import Charge
from resolvers.operations import Operation
from schema.caching import KeptFor
from schema.fields import computed, query
from settings import Settings


@strawberry.type(description="The limits of one operation and one connection; beyond them nothing runs.")
class ApiLimits:
    settings: strawberry.Private[Settings]

    @computed(description="Most points that an operation may cost.")
    def max_cost(self) -> int:
        return self.settings.graphql_max_cost

    @computed(description="Deepest nesting of fields.")
    def max_depth(self) -> int:
        return self.settings.graphql_max_depth

    @computed(description="Most aliases, fragments counted wherever they are used.")
    def max_aliases(self) -> int:
        return self.settings.graphql_max_aliases

    @computed(description="Most lexical tokens of a document.")
    def max_tokens(self) -> int:
        return self.settings.graphql_max_tokens

    @computed(description="Most mutations of one operation.")
    def max_mutations_per_operation(self) -> int:
        return self.settings.graphql_max_mutations

    @computed(description="Largest page of a connection, in rows.")
    def max_page_size(self) -> int:
        return self.settings.graphql_max_page

    @computed(description="Longest that the answer to a query which is marked `@cached` is kept, in seconds; 0 where none is.")
    def max_cached_seconds(self) -> int:
        return self.settings.graphql_cached_answer_seconds

    @computed(description="Most operations at once on one WebSocket.")
    def max_subscriptions_per_connection(self) -> int:
        return self.settings.socket_max_subscriptions

    @computed(
        description="How long events are kept for those who come back with a cursor. Behind an older one a subscription fails with "
        "`CURSOR_EXPIRED`, and behind one with more than `replayEvents` events after it."
    )
    def replay_window(self) -> timedelta:
        return timedelta(hours=self.settings.event_window_hours)

    @computed(description="Most events of the tenant behind a cursor that are told again.")
    def replay_events(self) -> int:
        return self.settings.event_replay


@strawberry.type(description="The API itself.")
class ApiInfo:
    settings: strawberry.Private[Settings]

    @computed(description="PENNY's version, as in the changelog.")
    def version(self) -> str:
        return version("penny")

    @computed(description="What one operation and one connection may do.")
    def limits(self) -> ApiLimits:
        return ApiLimits(settings=self.settings)


@strawberry.type(description="What you may still ask: points that every operation costs, and that come back as time passes.")
class RateLimit:
    charge: strawberry.Private[Charge]

    @computed(description="Points that this operation was charged before it ran; what it turns out not to cost is given back.")
    def requested_cost(self) -> int:
        return self.charge.requested

    @computed(description="Most points that you can have.")
    def limit(self) -> int:
        return self.charge.limit

    @computed(description="Points that are left, with this operation charged. Several processes count, each as of a moment ago.")
    def remaining(self) -> int:
        return self.charge.remaining

    @computed(description="Points that come back each second.")
    def restore_per_second(self) -> float:
        return float(self.charge.restore_per_second)

    @computed(description="When all points will be back if nothing more is asked.")
    def reset_at(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.charge.seconds_to_full)


def _rate_limit(operation: Operation, _: object) -> RateLimit:
    assert operation.charge is not None, "the door charges every operation"
    return RateLimit(charge=operation.charge)


def _api_info(operation: Operation, _: object) -> ApiInfo:
    return ApiInfo(settings=operation.works.settings)


@strawberry.type
class Query:
    api_info: ApiInfo = query(
        _api_info, description="What the API says of itself; needs no sign-in.", public=True, kept_for=KeptFor.STANDING
    )
    rate_limit: RateLimit = query(
        _rate_limit,
        description="What you may still ask. Without a sign-in it is your address that counts. Every answer's `extensions.cost` says what "
        "the operation was charged and what it did cost.",
        public=True,
        kept_for=KeptFor.NOBODY,
    )
