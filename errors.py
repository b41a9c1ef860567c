"""The only exceptions whose text a caller may read: seven families, each with a stable code.

Domain modules subclass a family with a sentence (`class ChatIsArchived(Conflict)`). Whatever is raised and is not a
`PennyError` is masked before it leaves the process. `Unauthenticated` and `Unavailable` are answers of the transport
(GraphQL `errors[]` with `extensions.code`); the other five are typed errors in a mutation's payload.
"""

from collections.abc import Sequence
from typing import ClassVar


class PennyError(Exception):
    """A failure that may be told to the caller; `path` names the input field it is about."""

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, path: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(path)


class Invalid(PennyError):
    """The input breaks a rule; `constraint` names the rule in the form `max_bytes=100000`."""

    code = "VALIDATION"

    def __init__(self, message: str, *, path: Sequence[str] = (), constraint: str | None = None) -> None:
        super().__init__(message, path=path)
        self.constraint = constraint


class NotFound(PennyError):
    """There is no such row for this tenant. Another tenant's row gives the same answer as a missing one."""

    code = "NOT_FOUND"

    def __init__(self, message: str = "There is nothing with this id.", *, path: Sequence[str] = ()) -> None:
        super().__init__(message, path=path)


class PermissionDenied(PennyError):
    """The caller may not do this; `required_scopes` is what would have been enough."""

    code = "PERMISSION_DENIED"

    def __init__(self, message: str, *, required_scopes: Sequence[str] = (), path: Sequence[str] = ()) -> None:
        super().__init__(message, path=path)
        self.required_scopes = tuple(required_scopes)


class Conflict(PennyError):
    """The row changed, or the name is taken; `current_revision` is the revision to start again from."""

    code = "CONFLICT"

    def __init__(self, message: str, *, path: Sequence[str] = (), current_revision: int | None = None) -> None:
        super().__init__(message, path=path)
        self.current_revision = current_revision


class RateLimited(PennyError):
    """Too much in too short a time; the same request may succeed after `retry_after_ms` milliseconds."""

    code = "RATE_LIMITED"

    def __init__(self, message: str, *, bucket: str, retry_after_ms: int) -> None:
        super().__init__(message)
        self.bucket = bucket
        self.retry_after_ms = retry_after_ms


class Unauthenticated(PennyError):
    """No credential, or one that no longer counts: UNAUTHENTICATED, TOKEN_EXPIRED or SESSION_TERMINATED."""

    code = "UNAUTHENTICATED"

    def __init__(self, message: str = "Sign in first.", *, reason: str = "UNAUTHENTICATED") -> None:
        super().__init__(message)
        self.reason = reason


class Unavailable(PennyError):
    """A server that PENNY needs does not answer; nothing was done and the request may be sent again."""

    code = "UNAVAILABLE"
