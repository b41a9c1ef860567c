"""Whether a credential still counts, by what its owner is in the tenant; one rule for sessions and API keys."""

from collections.abc import Mapping
from typing import Any, Final

from errors import Code, Unauthenticated

OPEN_TENANTS: Final = frozenset({"ACTIVE", "PAST_DUE"})


def check_standing(row: Mapping[str, Any]) -> None:
    """Raise `Unauthenticated` unless the row's `tenant_status` and `member_status` let its owner in."""
    if row["tenant_status"] not in OPEN_TENANTS:
        raise Unauthenticated("This tenant is not open now.", reason=Code.TENANT_SUSPENDED)
    if row["member_status"] != "ACTIVE":
        raise Unauthenticated("Your membership is disabled.", reason=Code.SESSION_TERMINATED)
