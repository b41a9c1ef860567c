"""Search: what of a tenant's messages and chats holds the words that somebody looks for, the best first."""

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from auth.encryption.ciphers import TenantCipher
from auth.viewers import Viewer
from db.scopes import Reading, TenantScopes
from db.statements import terms
from errors import Invalid
from knowledge.terms import distinct, hashed
from settings import Settings

CHAT: Final = "CHAT"
MESSAGE: Final = "MESSAGE"
# The steps of a word's weight: whole numbers, so that equal sums are equal.
STEPS: Final = 16
# Rows are looked up by the words that weigh at least this share of the heaviest; the others only count for what those find.
RARE: Final = 1 / 2
# What is found has words of at least this share of the whole weight.
LEAST_SHARE: Final = 1 / 2


@dataclass(frozen=True, kw_only=True)
class Question:
    """What somebody looks for, and where. `since` belongs to the span, `until` does not."""

    text: str
    kinds: Collection[str] = (CHAT, MESSAGE)
    chat_id: UUID | None = None
    author_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def fingerprint(self) -> UUID:
        """Names the question: a cursor of one is not one of another."""
        asked = [self.text, *sorted(self.kinds), self.chat_id, self.author_id, self.since, self.until]
        return UUID(bytes=hashlib.sha256(msgspec.json.encode(asked)).digest()[:16])


class Place(NamedTuple):
    """Where in the results a page begins: behind this score and row. Later pages weigh words as the first one did."""

    score: int
    id: UUID
    weights: tuple[int, ...]


class Hit(NamedTuple):
    """A message, or a chat by its title, and how well it fits: the sum of the weights of the words that it has."""

    id: UUID
    kind: str
    score: int


class Found(NamedTuple):
    """A part of what was found, the words that were looked for, and what each of them weighs."""

    hits: list[Hit]
    words: Sequence[str]
    weights: tuple[int, ...]

    @property
    def best(self) -> int:
        """The score of what has all words."""
        return sum(self.weights)


class Search:
    """Finds what a viewer may read. Rare words weigh more than common ones; what has not half of the weight is left out."""

    def __init__(self, *, scopes: TenantScopes, settings: Settings) -> None:
        self._scopes = scopes
        self._settings = settings

    async def find(self, viewer: Viewer, cipher: TenantCipher, question: Question, *, place: Place | None, limit: int) -> Found:
        """Return hits beyond a place, the best first and of equal ones the newest; none for a text without words."""
        words = self._words(question.text)
        if not words:
            return Found([], words, ())
        # While a key is being changed, some rows have a word under the old key and some under the new one.
        versions = [hashed(cipher, words, version=version) for version in cipher.versions]
        async with self._scopes.reading(viewer.tenant_id) as scope:
            weights = await self._weights(scope, viewer.tenant_id, versions) if place is None else place.weights
            rare = [number for number, weight in enumerate(weights) if weight >= max(weights) * RARE]
            rows = await terms.find(
                scope,
                viewer.tenant_id,
                viewer.user_id,
                rare=[found[number] for found in versions for number in rare],
                weights={term: weight for found in versions for term, weight in zip(found, weights, strict=True)},
                lowest=math.ceil(sum(weights) * LEAST_SHARE),
                since=question.since,
                until=question.until,
                author_id=question.author_id,
                chat_id=question.chat_id,
                messages=MESSAGE in question.kinds,
                titles=CHAT in question.kinds,
                beyond=None if place is None else (place.score, place.id),
                limit=limit,
            )
        return Found([_hit(row) for row in rows], words, weights)

    async def _weights(self, scope: Reading, tenant_id: UUID, versions: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """Weigh each word by what is learnt by finding it: the fewer of the newest messages have it, the more, at least one step."""
        asked = [term for found in versions for term in found]
        size, counts = await terms.sample(scope, tenant_id, asked, size=self._settings.search_sample_messages)
        having = (sum(counts.get(term, 0) for term in same) for same in zip(*versions, strict=True))
        return tuple(max(1, round(STEPS * math.log2((size + 1) / (messages + 1)))) for messages in having)

    def _words(self, text: str) -> list[str]:
        most = self._settings.search_query_max_length
        if len(text) > most:
            raise Invalid(f"Search for at most {most} characters.", path=("query",), constraint=f"length=0..{most}")
        return distinct(text, most)


def _hit(row: Mapping[str, Any]) -> Hit:
    return Hit(row["id"], CHAT if row["message_id"] is None else MESSAGE, row["score"])
