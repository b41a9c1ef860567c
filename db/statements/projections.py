"""Statements that read only the columns that are wanted: one text, and so one prepared statement, for each set of columns.

No text of a user's ever gets into a statement. Names of columns come from the schema's own declarations; here they only choose
among the columns of a Piccolo table, and it is the table's spelling that is written.
"""

from functools import lru_cache
from typing import Final

from piccolo.table import Table

Columns = frozenset[str]
# Operations want the same few sets again and again; this only keeps whoever makes up ever new ones from filling the memory.
_MOST_TEXTS: Final = 256


class Projection:
    """A statement with `{columns}` where its SELECT list goes: the wanted columns of a table, in the table's order.

    `of` is the name that the statement gives to the table, `always` are the columns that whoever asks needs itself, `without`
    those that no answer shows.
    """

    def __init__(
        self, statement: str, table: type[Table], *, of: str = "", always: tuple[str, ...] = (), without: tuple[str, ...] = ()
    ) -> None:
        self._statement = statement
        self._prefix = f"{of}." if of else ""
        self._table = table.__name__
        names = [column._meta.db_column_name for column in table.all_columns()]  # noqa: SLF001 - Piccolo has no public name for it
        self._shown = [name for name in names if name not in without]
        self._always = frozenset(always)
        self._text = lru_cache(_MOST_TEXTS)(self._written)

    def text(self, columns: Columns | None) -> str:
        """The statement for these columns, None for all; raises `ValueError` for a name that the table does not show."""
        return self._text(columns)

    def _written(self, columns: Columns | None) -> str:
        wanted = frozenset(self._shown) if columns is None else columns | self._always
        if unknown := wanted.difference(self._shown):
            raise ValueError(f"{self._table} shows no columns {sorted(unknown)}.")
        return self._statement.format(columns=", ".join(f"{self._prefix}{name}" for name in self._shown if name in wanted))
