"""What may be kept of answers: what clients say of it with a directive, and what fields do in their declarations."""

import enum
from typing import Annotated, Any, Final

import strawberry
from strawberry.directive import DirectiveLocation

KEPT_FOR: Final = "kept_for"


class KeptFor(enum.IntEnum):
    """To whom the answer of a field may be given again until the tenant changes or its time is over, the fewest first.

    Whoever sees the object is meant: what is `STANDING` below a field that is `CREDENTIAL` is that too.
    """

    NOBODY = 0
    """It holds for the moment alone, is another tenant's, asking has effects, or it is made of what a process trusts for a while."""
    CREDENTIAL = 1
    STANDING = 2
    """All of a tenant who have the same scopes: it looks at nothing else of who asks."""

    @property
    def metadata(self) -> dict[str, Any]:
        """How a field's declaration says it."""
        return {KEPT_FOR: self}


CACHED: Final = "cached"
TTL: Final = "ttl"
USUAL_SECONDS: Final = 60


@strawberry.directive(
    locations=[DirectiveLocation.QUERY],
    name=CACHED,
    description="The answer may be kept and given again, to you alone or, where it is the same for them, to all of the tenant with your "
    "scopes. It is forgotten when the tenant changes. Only a `GET` by the id of a document is ever answered so, and only without errors; "
    "everywhere else the directive changes nothing.",
)
def cached(
    ttl: Annotated[
        int,
        strawberry.argument(
            description="How old the answer may become, in seconds, at least 1: for what changes without anybody changing it. "
            "`ApiLimits.maxCachedSeconds` holds even where this is more. It is written in the document, not given by a variable."
        ),
    ] = USUAL_SECONDS,
) -> None:
    """Nothing is done to values: `web.keeping` reads what the document says."""
