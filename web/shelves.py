"""Where a process keeps the documents that it has read: apart by who sent them, so that strangers' documents drive out nobody else's."""

from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum
from typing import Final, Generic, TypeVar

Kept = TypeVar("Kept")
LARGEST_SHARE: Final = 8
"""A text beyond this part of its shelf is not kept: one request must not clear it."""


class Origin(IntEnum):
    """Whose document it is, the best known last."""

    ANYBODY = 0
    MEMBER = 1
    PUBLISHED = 2


class Shelf(Generic[Kept]):
    """Keeps what was made of the texts that were asked for last. A tree takes about a hundred times its text's memory: both are bounded."""

    def __init__(self, *, documents: int, characters: int) -> None:
        self._most = documents
        self._characters = characters
        self._held = 0
        self.kept: OrderedDict[str, Kept] = OrderedDict()

    def put(self, text: str, kept: Kept, forgotten: Callable[[str], None]) -> bool:
        """Keep something, and let go of what was not asked for longest; False for what is too large."""
        if len(text) > self._characters // LARGEST_SHARE:
            return False
        self.kept[text] = kept
        self._held += len(text)
        while len(self.kept) > self._most or self._held > self._characters:
            oldest = next(iter(self.kept))
            self.take(oldest)
            forgotten(oldest)
        return True

    def take(self, text: str) -> Kept:
        """Take something off."""
        self._held -= len(text)
        return self.kept.pop(text)


class Shelves(Generic[Kept]):
    """A shelf for each origin. `forgotten` is called with each text that is no longer kept."""

    def __init__(self, *, documents: int, characters: int) -> None:
        self._shelves: dict[Origin, Shelf[Kept]] = {
            Origin.PUBLISHED: Shelf(documents=2 * documents, characters=2 * characters),
            Origin.MEMBER: Shelf(documents=documents, characters=characters),
            Origin.ANYBODY: Shelf(documents=max(1, documents // 4), characters=characters // 4),
        }
        self.forgotten: Callable[[str], None] = lambda _: None

    def __contains__(self, text: str) -> bool:
        return any(text in shelf.kept for shelf in self._shelves.values())

    def find(self, text: str, origin: Origin) -> Kept | None:
        """Return what is kept of a text; what somebody better known asks for moves to their shelf."""
        for place, shelf in self._shelves.items():
            if (kept := shelf.kept.get(text)) is not None:
                shelf.kept.move_to_end(text)
                if place < origin:
                    shelf.take(text)
                    if not self._shelves[origin].put(text, kept, self.forgotten):
                        self.forgotten(text)
                return kept
        return None

    def keep(self, text: str, kept: Kept, origin: Origin) -> None:
        """Keep something new."""
        if text not in self:
            self._shelves[origin].put(text, kept, self.forgotten)
