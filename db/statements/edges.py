"""What lies before and after every row: a page that begins at a list's end begins beyond these.

A bound that is always there lets one plan for any values walk the index from it. `$3 IS NULL OR …` and `coalesce($3, …)` would
both be filters instead: the one because of its OR, the other because row-level security trusts no coalesce to keep secrets.
"""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 12, 31, tzinfo=UTC)
FIRST_ID: Final = UUID(int=0)
LAST_ID: Final = UUID(int=2**128 - 1)
LAST_NUMBER: Final = 2**31 - 1
