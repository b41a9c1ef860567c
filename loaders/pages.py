"""Pages of lists: what part was asked for, what was found, and the cursors that lead on."""

import base64
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

import msgspec

from auth.encryption.ciphers import TenantCipher
from db.scopes import Row
from errors import Invalid

CursorValue = datetime | UUID | int | str | None
Count = Callable[[], Awaitable[int]]
_TAG_BYTES: Final = 12
_LONGEST: Final = 1024
_ENCODER: Final = msgspec.msgpack.Encoder()


class CursorIsInvalid(Invalid):
    """The text is no cursor, or one of another list or another tenant."""


class Cursors:
    """Writes and reads the cursors of one kind of list of one tenant; a cursor of anything else is refused.

    `kind` is named in the code; `owners` are the rows that the list belongs to, as many for every list of the kind. A cursor is
    the base64url of the row's sort values (MessagePack) and 12 bytes of their keyed hash. It is no secret, and it says nothing
    that its row does not.
    """

    __slots__ = ("_cipher", "_kind", "_owners")

    def __init__(self, cipher: TenantCipher, kind: str, *owners: UUID) -> None:
        self._cipher = cipher
        self._kind = kind
        self._owners = owners

    def _tag(self, content: bytes, version: int | None = None) -> bytes:
        signed = b"".join(owner.bytes for owner in self._owners) + content
        return self._cipher.hmac(f"cursor {self._kind}", signed, version=version)[:_TAG_BYTES]

    def write(self, values: Sequence[CursorValue]) -> str:
        """Spell the sort values of a row, the unique one last."""
        # MessagePack has no UUID; no other value is made of bytes.
        content = _ENCODER.encode([value.bytes if isinstance(value, UUID) else value for value in values])
        return base64.urlsafe_b64encode(self._tag(content) + content).rstrip(b"=").decode()

    def read(self, text: str, *, path: Sequence[str] = ()) -> tuple[Any, ...]:
        """Return what was written; raises `CursorIsInvalid`."""
        refusal = CursorIsInvalid("This cursor is not valid here.", path=path)
        if len(text) > _LONGEST:
            raise refusal
        try:
            blob = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise refusal from None
        tag, content = blob[:_TAG_BYTES], blob[_TAG_BYTES:]
        # A cursor outlives the rotation of the key that signed it.
        signed = (self._tag(content, version) for version in self._cipher.versions)
        if not any(hmac.compare_digest(tag, expected) for expected in signed):
            raise refusal
        return tuple(UUID(bytes=value) if isinstance(value, bytes) else value for value in msgspec.msgpack.decode(content))


@dataclass(frozen=True, slots=True)
class PageArguments:
    """The part of a list that was asked for: the first rows after a cursor, or the last ones before one."""

    first: int | None = None
    last: int | None = None
    after: str | None = None
    before: str | None = None

    @classmethod
    def checked(  # noqa: PLR0913 - the four arguments of a connection and their limits
        cls,
        first: int | None = None,
        last: int | None = None,
        after: str | None = None,
        before: str | None = None,
        *,
        limit: int,
        default: int | None = None,
    ) -> Self:
        """Check a connection's arguments; raises `Invalid`. Without `default`, one of `first` and `last` must be given."""
        if first is None and last is None:
            first, last = (None, default) if before is not None else (default, None)
            if default is None:
                raise Invalid(f"Give `first` or `last`, from 1 to {limit}.", path=["first"], constraint="required")
        if first is not None and last is not None:
            raise Invalid("Give `first` or `last`, not both.", path=["last"], constraint="one_of=first,last")
        if first is not None and before is not None:
            raise Invalid("`before` goes with `last`.", path=["before"], constraint="with=last")
        if last is not None and after is not None:
            raise Invalid("`after` goes with `first`.", path=["after"], constraint="with=first")
        for name, size in (("first", first), ("last", last)):
            if size is not None and not 1 <= size <= limit:
                raise Invalid(f"`{name}` must be from 1 to {limit}.", path=[name], constraint=f"range=1..{limit}")
        return cls(first, last, after, before)

    @property
    def size(self) -> int:
        """How many rows the page may have."""
        return self.first or self.last or 0

    @property
    def limit(self) -> int:
        """How many rows to fetch: one more than the page has tells whether there are more."""
        return self.size + 1

    @property
    def backwards(self) -> bool:
        """Whether the rows are fetched from the list's end, in reverse order."""
        return self.last is not None

    def start(self, cursors: Cursors) -> tuple[Any, ...] | None:
        """Return the sort values that the page begins beyond, or None for the list's end; raises `CursorIsInvalid`."""
        name, text = ("before", self.before) if self.backwards else ("after", self.after)
        return None if text is None else cursors.read(text, path=[name])


class Page:
    """The rows of a page in the list's order; `total` counts the whole list where that is known, `count` finds it out.

    A cursor costs more than a row, and few who read a page take one with every row: cursors are written when they are asked for.
    """

    __slots__ = ("_cursor_of", "_cursors", "count", "has_next", "has_previous", "rows", "total")

    def __init__(  # noqa: PLR0913 - what a connection shows
        self,
        rows: list[Row],
        cursor_of: Callable[[Row], str],
        *,
        has_next: bool,
        has_previous: bool,
        total: int | None = None,
        count: Count | None = None,
    ) -> None:
        self.rows = rows
        self.has_next = has_next
        self.has_previous = has_previous
        self.total = total
        self.count = count
        self._cursor_of = cursor_of
        self._cursors: list[str] | None = None

    @property
    def cursors(self) -> list[str]:
        """The cursor of each row."""
        if self._cursors is None:
            self._cursors = [self._cursor_of(row) for row in self.rows]
        return self._cursors

    @property
    def edges(self) -> list[tuple[str, Row]]:
        """Each row behind its cursor."""
        return list(zip(self.cursors, self.rows, strict=True))

    @property
    def start_cursor(self) -> str | None:
        """The cursor of the first row; None on an empty page."""
        return self._cursor_of(self.rows[0]) if self.rows else None

    @property
    def end_cursor(self) -> str | None:
        """The cursor of the last row; None on an empty page."""
        return self._cursor_of(self.rows[-1]) if self.rows else None


def page_of(
    rows: Sequence[Row],
    arguments: PageArguments,
    cursor_of: Callable[[Row], str],
    *,
    total: int | None = None,
    count: Count | None = None,
) -> Page:
    """Make a page of the rows that were fetched with `arguments.limit`, in reverse order when `arguments.backwards`.

    On the side that the cursor points away from, there is at least the row that the cursor was made for.
    """
    more, kept = len(rows) > arguments.size, list(rows[: arguments.size])
    if arguments.backwards:
        kept.reverse()
        return Page(kept, cursor_of, has_next=arguments.before is not None, has_previous=more, total=total, count=count)
    return Page(kept, cursor_of, has_next=more, has_previous=arguments.after is not None, total=total, count=count)
