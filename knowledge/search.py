"""Search: what of a tenant's messages and chats holds the words that somebody looks for, or means about the same, the best first."""

import asyncio
import hashlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, TypedDict
from uuid import UUID

import msgspec

from auth.encryption.ciphers import TenantCipher
from auth.viewers import Viewer
from db.scopes import Reading, Reads, Row
from db.statements import terms, vectors
from db.statements.edges import LAST_ID
from errors import Invalid
from knowledge.terms import distinct, hashed
from knowledge.vectors import Embedder, spelled, turned
from knowledge.words import is_lone, letters_in, words_in
from settings import Settings

CHAT: Final = "CHAT"
MESSAGE: Final = "MESSAGE"
# The steps of a word's weight: whole numbers, so that equal sums are equal.
STEPS: Final = 16
# Rows are looked up by the words that weigh at least this share of the heaviest; the others only count for what those find.
RARE: Final = 1 / 2
# What is found has words of at least this share of the whole weight; where nothing has, of the weight of what has most.
LEAST_SHARE: Final = 1 / 2
# Of the messages that are read, so much is looked at before others get their turn.
SHARE_BYTES: Final = 32_768
# The constant of the paper on rank fusion, and how finely its sums are told apart.
FUSION_RANKS: Final = 60
FUSION_STEPS: Final = 1_000_000_000


class SemanticSearchIsOff(Invalid):
    """Messages have no vectors here."""

    def __init__(self) -> None:
        super().__init__("Search by meaning is off here; leave `semantic` out.", path=("semantic",), constraint="off")


class PlaceIsElsewhere(Invalid):
    """A place in the results for other words, or of a version that took the same text for other words."""

    def __init__(self) -> None:
        super().__init__("This cursor is not valid here.", path=("after",))


class Filters(TypedDict):
    """Where to look: in this span, for what this author wrote, in this chat; None is no filter."""

    since: datetime | None
    until: datetime | None
    author_id: UUID | None
    chat_id: UUID | None


@dataclass(frozen=True, kw_only=True)
class Question:
    """What somebody looks for, and where. `since` belongs to the span, `until` does not."""

    text: str
    kinds: Collection[str] = (CHAT, MESSAGE)
    semantic: bool = False
    chat_id: UUID | None = None
    author_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def filters(self) -> Filters:
        """Where to look."""
        return Filters(since=self.since, until=self.until, author_id=self.author_id, chat_id=self.chat_id)

    @property
    def fingerprint(self) -> UUID:
        """Names the question: a cursor of one is not one of another."""
        asked = [self.text, *sorted(self.kinds), self.semantic, self.chat_id, self.author_id, self.since, self.until]
        return UUID(bytes=hashlib.sha256(msgspec.json.encode(asked)).digest()[:16])


class Place(NamedTuple):
    """Where in the results a page begins: behind this score and row. Later pages weigh words as the first one did, and ask for as much."""

    score: int
    id: UUID
    lowest: int
    weights: tuple[int, ...]


class Hit(NamedTuple):
    """A message, or a chat by its title, and how well it fits: the sum of the weights of its words, or what `fused` makes of two ranks."""

    id: UUID
    kind: str
    score: int


class Found(NamedTuple):
    """A part of what was found, the words that were looked for, what each of them weighs, and the best score that there could be.

    What has the words has at least the score `lowest`.
    """

    hits: list[Hit]
    words: Sequence[str]
    lowest: int
    weights: tuple[int, ...]
    best: int


class _Asked(NamedTuple):
    """A question, the words in it, and who asks."""

    viewer: Viewer
    cipher: TenantCipher
    question: Question
    words: Sequence[str]

    def hashed_words(self) -> list[list[int]]:
        """Hash the words under each key: while one is being changed, some rows have a word under the old key and some under the new one."""
        return [hashed(self.cipher, self.words, version=version) for version in self.cipher.versions]


Texts = Callable[[TenantCipher, Sequence[Row]], Sequence[str]]
"""Reads what messages say, of their rows of `id` and `content`."""


class _Seen(NamedTuple):
    """Messages that were read for lone letters: how many, and which of the words those have that have such a letter."""

    size: int
    having: Mapping[UUID, Collection[str]]

    def weight(self, word: str) -> int:
        """Weigh a word by how few of them have it."""
        return _weight(self.size, sum(word in found for found in self.having.values()))


_NOTHING_SEEN: Final = _Seen(0, {})


class Search:
    """Finds what a viewer may read. Rare words weigh more than common ones; what has not half of the weight is left out.

    Where nothing has half of it, as when a word is misspelt that weighs most because nobody wrote it, all that has half as much as the
    best is found: the score says how little that is.
    """

    def __init__(self, *, embedder: Embedder | None, texts: Texts, settings: Settings) -> None:
        self._embedder = embedder
        self._texts = texts
        self._settings = settings

    async def find(  # noqa: PLR0913 - who asks what, and the part of the answer that is wanted
        self, reads: Reads, viewer: Viewer, cipher: TenantCipher, question: Question, *, place: Place | None, limit: int
    ) -> Found:
        """Return hits beyond a place, the best first and of equal ones the newest; none for a text without words."""
        asked = _Asked(viewer, cipher, question, self._words(question.text))
        if not asked.words:
            return Found([], asked.words, 0, (), 1)
        if place is not None and len(place.weights) != len(asked.words):
            raise PlaceIsElsewhere
        seen = await self._seen(reads, asked) if self.reads(question) else _NOTHING_SEEN
        if question.semantic:
            return await self._find_near(reads, asked, seen, place, limit)
        async with reads.reading(viewer.tenant_id) as scope:
            return await self._look_up(scope, asked, seen, place, limit)

    def reads(self, question: Question) -> bool:
        """Whether messages are read for a question, which is dear: it has a letter that the index has in pairs only."""
        return MESSAGE in question.kinds and any(map(is_lone, self._words(question.text)))

    async def _look_up(self, scope: Reading, asked: _Asked, seen: _Seen, place: Place | None, limit: int) -> Found:
        """Find what has the words."""
        versions = asked.hashed_words()
        weights = await self._weights(scope, asked, versions, seen) if place is None else place.weights
        half = math.ceil(sum(weights) * LEAST_SHARE)

        async def having(lowest: int) -> list[Hit]:
            # Without one of the heavy words there is half of the weight hardly ever, and rows of common words are many.
            heavy = max(weights) * RARE if lowest == half else 0
            rare = [number for number, weight in enumerate(weights) if weight >= heavy]
            rows = await terms.find(
                scope,
                asked.viewer.tenant_id,
                asked.viewer.user_id,
                rare=[found[number] for found in versions for number in rare],
                weights={term: weight for found in versions for term, weight in zip(found, weights, strict=True)},
                lowest=lowest,
                messages=MESSAGE in asked.question.kinds,
                titles=CHAT in asked.question.kinds,
                beyond=None if place is None else (place.score, place.id),
                limit=limit + len(seen.having),
                **asked.question.filters,
            )
            hits = [Hit(row["id"], CHAT if row["message_id"] is None else MESSAGE, row["score"]) for row in rows]
            return _with_seen(hits, seen, dict(zip(asked.words, weights, strict=True)), lowest, place)[:limit]

        lowest = half if place is None else place.lowest
        hits = await having(lowest)
        if not hits and place is None and len(weights) > 1 and (hits := await having(1)):
            lowest = math.ceil(hits[0].score * LEAST_SHARE)
            hits = [hit for hit in hits if hit.score >= lowest]
        return Found(hits, asked.words, lowest, weights, sum(weights))

    async def _seen(self, reads: Reads, asked: _Asked) -> _Seen:
        """Read the newest messages for letters that the index has in pairs only."""
        settings, viewer = self._settings, asked.viewer
        async with reads.reading(viewer.tenant_id) as scope:
            rows = await terms.newest(
                scope,
                viewer.tenant_id,
                viewer.user_id,
                limit=settings.search_read_messages,
                bytes_limit=settings.search_read_bytes,
                **asked.question.filters,
            )
        lone = [word for word in asked.words if is_lone(word)]
        others = [word for word in asked.words if word not in lone]
        having: dict[UUID, Collection[str]] = {}
        for some in _shares(rows):
            for row, text in zip(some, self._texts(asked.cipher, some), strict=True):
                # Some letters fold to eighteen, and take a hundred times as long as others.
                beginning = text[: settings.search_read_characters]
                if letters := letters_in(beginning, lone):
                    having[row["id"]] = letters | words_in(beginning, others)
            # There may be hundreds of long messages: others get their turn in between.
            await asyncio.sleep(0)
        return _Seen(len(rows), having)

    async def _find_near(self, reads: Reads, asked: _Asked, seen: _Seen, place: Place | None, limit: int) -> Found:
        """Find what has the words or is near in meaning: the best of both, fused by their ranks, and of that the part beyond the place."""
        if self._embedder is None:
            raise SemanticSearchIsOff
        (vector,) = await self._embedder.embed([asked.question.text])
        start = None if place is None else place._replace(score=terms.HIGHEST_SCORE, id=LAST_ID)
        async with reads.reading(asked.viewer.tenant_id) as scope:
            named = await self._look_up(scope, asked, seen, start, self._settings.search_candidates)
            near = await self._near(scope, asked, vector) if MESSAGE in asked.question.kinds else []
        hits = fused(named.hits, near)
        beyond = [hit for hit in hits if place is None or (hit.score, hit.id) < (place.score, place.id)]
        return Found(beyond[:limit], asked.words, named.lowest, named.weights, _of_ranks(0, 0))

    async def _near(self, scope: Reading, asked: _Asked, vector: Sequence[float]) -> list[Hit]:
        """Find the messages nearest to a vector, the nearest first."""
        settings, tenant_id = self._settings, asked.viewer.tenant_id
        exactly = await vectors.size(scope, tenant_id, most=settings.search_exact_vectors + 1) <= settings.search_exact_vectors
        found: list[Row] = []
        for version in asked.cipher.versions:
            found += await vectors.nearest(
                scope,
                tenant_id,
                asked.viewer.user_id,
                embedding=spelled(turned(asked.cipher, vector, version=version)),
                key_version=version,
                exactly=exactly,
                limit=settings.search_candidates,
                **asked.question.filters,
            )
        found.sort(key=lambda row: -row["similarity"])
        # A message of several chunks counts by the nearest.
        ids = dict.fromkeys(row["message_id"] for row in found if row["similarity"] >= settings.search_least_similarity)
        return [Hit(message_id, MESSAGE, 0) for message_id in ids]

    async def _weights(self, scope: Reading, asked: _Asked, versions: Sequence[Sequence[int]], seen: _Seen) -> tuple[int, ...]:
        """Weigh each word by what finding it tells: the fewer of the newest messages have it, the more, at least one step."""
        wanted, viewer = [term for found in versions for term in found], asked.viewer
        size, counts = await terms.sample(scope, viewer.tenant_id, viewer.user_id, wanted, size=self._settings.search_sample_messages)
        having = [sum(counts.get(term, 0) for term in same) for same in zip(*versions, strict=True)]
        return tuple(
            seen.weight(word) if seen.size and is_lone(word) else _weight(size, messages)
            for word, messages in zip(asked.words, having, strict=True)
        )

    def _words(self, text: str) -> list[str]:
        most = self._settings.search_query_max_length
        if len(text) > most:
            raise Invalid(f"Search for at most {most} characters.", path=("query",), constraint=f"length=0..{most}")
        return distinct(text, most)


def _shares(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Cut rows into shares that are full when they have so many bytes."""
    share: list[Row] = []
    size = 0
    for row in rows:
        share.append(row)
        size += len(row["content"])
        if size >= SHARE_BYTES:
            yield share
            share, size = [], 0
    if share:
        yield share


def _weight(size: int, having: int) -> int:
    return max(1, round(STEPS * math.log2((size + 1) / (having + 1))))


def _with_seen(hits: Sequence[Hit], seen: _Seen, weights: Mapping[str, int], lowest: int, place: Place | None) -> list[Hit]:
    """Put in their places what was read and what the index found, of both the part beyond a place."""
    if not seen.having:
        return list(hits)
    read = [Hit(message_id, MESSAGE, sum(weights[word] for word in found)) for message_id, found in seen.having.items()]
    beyond = [hit for hit in read if hit.score >= lowest and (place is None or (hit.score, hit.id) < (place.score, place.id))]
    rest = [hit for hit in hits if hit.kind != MESSAGE or hit.id not in seen.having]
    return sorted([*beyond, *rest], key=lambda hit: (hit.score, hit.id), reverse=True)


def fused(named: Sequence[Hit], near: Sequence[Hit]) -> list[Hit]:
    """Make one list of two by reciprocal rank fusion, the best first (Cormack, Clarke and Buettcher, SIGIR 2009)."""
    places: dict[tuple[UUID, str], list[int | None]] = {}
    for number, hits in enumerate((named, near)):
        for rank, hit in enumerate(hits):
            places.setdefault((hit.id, hit.kind), [None, None])[number] = rank
    hits = [Hit(hit_id, kind, _of_ranks(*ranks)) for (hit_id, kind), ranks in places.items()]
    return sorted(hits, key=lambda hit: (hit.score, hit.id), reverse=True)


def _of_ranks(*ranks: int | None) -> int:
    return sum(round(FUSION_STEPS / (FUSION_RANKS + 1 + rank)) for rank in ranks if rank is not None)
