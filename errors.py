"""The only exceptions whose text a caller may read: seven families, each with a stable code.

Domain modules subclass a family with a sentence (`class ChatIsArchived(Conflict)`). Whatever is raised and is not a
`PennyError` is masked before it leaves the process. `Unauthenticated` and `Unavailable` are answers of the transport
(GraphQL `errors[]` with `extensions.code`); the other five are typed errors in a mutation's payload.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """What `extensions.code` of the API's `errors[]` may be, all of them; `docs/errors.md` is made of this.

    `status` is the HTTP status of an answer in which nothing ran, in the media type `application/graphql-response+json`.
    """

    status: str
    meaning: str

    def __new__(cls, code: str, status: str, meaning: str) -> Self:
        """Make a member with what is said about it."""
        member = str.__new__(cls, code)
        member._value_, member.status, member.meaning = code, status, meaning
        return member

    UNAUTHENTICATED = "UNAUTHENTICATED", "401", "Nobody is signed in, or the token is none of ours. Sign in."
    TOKEN_EXPIRED = "TOKEN_EXPIRED", "401", "The session or key has run out. Get a new one and send the request again."
    SESSION_TERMINATED = "SESSION_TERMINATED", "401", "The session or key was ended, or its owner left. Sign in again."
    TENANT_SUSPENDED = "TENANT_SUSPENDED", "401", "The tenant is not open now. Its owner can say more."
    PERMISSION_DENIED = "PERMISSION_DENIED", "403", "The role or key does not allow this; `requiredScopes` would."
    FORBIDDEN = "FORBIDDEN", "403", "A page of this origin may not use the session cookie; `PENNY_ALLOWED_ORIGINS` lists those that may."
    NOT_FOUND = "NOT_FOUND", "200", "There is no such thing for you; `argument` names where its id was given."
    BAD_USER_INPUT = "BAD_USER_INPUT", "422", "A variable or an argument does not fit; `argument` and `constraint` say which and how."
    CONFLICT = "CONFLICT", "200", "It changed meanwhile. Read it again."
    THROTTLED = (
        "THROTTLED",
        "429",
        "Too much in too short a time. Wait for `retryAfterMs`, which `Retry-After` rounds up; `bucket` says whose limit it was.",
    )
    SUBSCRIPTION_LIMIT = "SUBSCRIPTION_LIMIT", "429", "Too many subscriptions are open. Complete one first."
    CONNECTION_LIMIT = "CONNECTION_LIMIT", "429", "Too many connections of one address are open. Close one first."
    CURSOR_EXPIRED = "CURSOR_EXPIRED", "200", "What happened behind the cursor is not told again. Load anew, and follow without it."
    COST_LIMIT = "COST_LIMIT", "422", "The operation costs more than any may: `requested` of `maximum`. Ask for less at once. Nothing ran."
    DEPTH_LIMIT = "DEPTH_LIMIT", "400 or 422", "The document or the body is nested too deeply. Nothing ran."
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED", "400", "The document is no GraphQL; `locations` says where."
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED", "422", "The document does not fit the schema; `locations` says where."
    PERSISTED_QUERY_NOT_FOUND = (
        "PERSISTED_QUERY_NOT_FOUND",
        "404",
        "Apollo's way: there is no such document yet. Send it once with its text.",
    )
    PERSISTED_DOCUMENT_NOT_FOUND = "PERSISTED_DOCUMENT_NOT_FOUND", "404", "There is no published document of this id for the tenant."
    PERSISTED_DOCUMENT_REQUIRED = (
        "PERSISTED_DOCUMENT_REQUIRED",
        "403",
        "This client may only send documents that were published, by their ids.",
    )
    BAD_REQUEST = "BAD_REQUEST", "400, 408 or 422", "The request cannot be read, or is not shaped as GraphQL over HTTP has it."
    BODY_LIMIT = "BODY_LIMIT", "400, 413 or 414", "The body or the address is longer than the limit, or the body comes in too many chunks."
    HEAD_LIMIT = "HEAD_LIMIT", "431", "The request's headers are longer than the limit."
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED", "405", "`Allow` names the methods; mutations are sent by POST."
    NOT_ACCEPTABLE = "NOT_ACCEPTABLE", "406", "`Accept` names no media type that the answer could have."
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE", "415", "The body must be `application/json` in UTF-8, and not packed."
    UNAVAILABLE = "UNAVAILABLE", "503", "A server that PENNY needs does not answer. Nothing was done; send it again in a moment."
    INTERNAL = "INTERNAL", "500", "Something failed on our side. `requestId` is what to name when you ask about it."


class PennyError(Exception):
    """A failure that may be told to the caller; `path` names the input field it is about."""

    code: str = "INTERNAL"

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

    def __init__(self, message: str = "Sign in first.", *, reason: Code = Code.UNAUTHENTICATED) -> None:
        super().__init__(message)
        self.reason = reason


class Unavailable(PennyError):
    """A server that PENNY needs does not answer; nothing was done and the request may be sent again."""

    code = "UNAVAILABLE"
