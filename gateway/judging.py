"""What must be known of a document before it is trusted, or sent; the gateway itself has not heard of GraphQL, so whoever has is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Judged:
    """A document as the schema of this process sees it; one with an `error` cannot run."""

    error: str | None = None
    operation_name: str = ""
    cost: int = 0
    is_public: bool = False


@dataclass(frozen=True)
class Appraised:
    """What a document's operation asks for; one with a `refusal` would not run, and one that cannot be read has no numbers."""

    refusal: str | None = None
    operation_name: str | None = None
    cost: int | None = None
    depth: int | None = None
    aliases: int | None = None


class Judge(Protocol):
    """Whoever knows the schema of this process."""

    def __call__(self, text: str) -> Judged:
        """Judge a document that is to be published."""

    def known(self, sha256: bytes) -> Judged | None:
        """Say again what was judged of the document with this hash, as long as that is remembered."""

    def reads(self, text: str) -> bool:
        """Whether a document must be read first, since this process does not keep it."""

    def appraise(self, text: str, operation_name: str | None, variables: Mapping[str, Any]) -> Appraised:
        """Say what one of a document's operations asks for with these variables."""
