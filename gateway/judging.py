"""What must be known of a document before it is trusted; the gateway itself has not heard of GraphQL, so whoever has is asked."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Judged:
    """A document as the schema of this process sees it; one with an `error` cannot run."""

    error: str | None = None
    operation_name: str = ""
    cost: int = 0
    is_public: bool = False


Judge = Callable[[str], Judged]
