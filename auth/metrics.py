"""What is counted of who comes: credentials that had to be looked up, and attempts to sign in."""

import contextlib
from collections.abc import Iterator
from typing import Final

from errors import Code, PennyError, RateLimited, Unauthenticated, Unavailable
from telemetry.instruments import Counter

ACCEPTED: Final = "accepted"
_REFUSED: Final = (Code.UNAUTHENTICATED, Code.TOKEN_EXPIRED, Code.SESSION_TERMINATED, Code.TENANT_SUSPENDED)

CREDENTIALS: Final = Counter(
    "penny.auth.credentials",
    unit="{credential}",
    description="Credentials that the process had to look up, by what came of it. Those that it knows are hits of `penny.cache.lookups`.",
    attributes={"penny.auth.kind": ("session", "api_key"), "penny.auth.outcome": (ACCEPTED, *map(str, _REFUSED))},
)
SIGN_INS: Final = Counter(
    "penny.auth.sign_ins",
    unit="{attempt}",
    description="Attempts to sign in with a password, by what came of them.",
    attributes={"penny.auth.outcome": (ACCEPTED, "wrong", "throttled", "refused")},
)


@contextlib.contextmanager
def credential_counted(kind: str) -> Iterator[None]:
    """Count what comes of looking a credential up."""
    try:
        yield
    except Unauthenticated as refused:
        CREDENTIALS.add(1, kind, str(refused.reason))
        raise
    CREDENTIALS.add(1, kind, ACCEPTED)


@contextlib.contextmanager
def sign_in_counted(wrong: type[PennyError]) -> Iterator[None]:
    """Count what comes of an attempt to sign in; one that could not be made is none."""
    try:
        yield
    except Unavailable:
        raise
    except PennyError as refused:
        SIGN_INS.add(1, "wrong" if isinstance(refused, wrong) else "throttled" if isinstance(refused, RateLimited) else "refused")
        raise
    SIGN_INS.add(1, ACCEPTED)
