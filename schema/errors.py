"""Typed errors: what a mutation could not do and what the user can do about it."""

import enum
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import strawberry

from errors import Conflict, Invalid, NotFound, PennyError, PermissionDenied, RateLimited


@strawberry.enum(description="What kind of failure an error is; stable.")
class ErrorCode(enum.Enum):
    VALIDATION = strawberry.enum_value("VALIDATION", description="An input breaks a rule.")
    NOT_FOUND = strawberry.enum_value("NOT_FOUND", description="There is no such thing, or not for you.")
    PERMISSION_DENIED = strawberry.enum_value("PERMISSION_DENIED", description="Your role or key does not allow it.")
    RATE_LIMITED = strawberry.enum_value("RATE_LIMITED", description="Too much in too short a time, for us or for the model's provider.")
    CONFLICT = strawberry.enum_value("CONFLICT", description="It changed meanwhile, or the name is taken.")
    IDEMPOTENCY_MISMATCH = strawberry.enum_value("IDEMPOTENCY_MISMATCH", description="The idempotency key was used with another input.")
    RUN_IN_PROGRESS = strawberry.enum_value("RUN_IN_PROGRESS", description="The chat is being answered already.")
    MODEL_UNAVAILABLE = strawberry.enum_value(
        "MODEL_UNAVAILABLE",
        description="The model cannot be asked: no key, no place for it, none that fits, or its provider does not know it.",
    )
    MODEL_COOLING_DOWN = strawberry.enum_value(
        "MODEL_COOLING_DOWN", description="The model failed too often and is left alone for a while; the message says until when."
    )
    CREDENTIAL_INVALID = strawberry.enum_value("CREDENTIAL_INVALID", description="The provider does not take the key.")
    PROVIDER_UNREACHABLE = strawberry.enum_value("PROVIDER_UNREACHABLE", description="The model's provider cannot be reached.")
    PROVIDER_TIMEOUT = strawberry.enum_value("PROVIDER_TIMEOUT", description="The model did not answer in time, or fell silent.")
    PROVIDER_FAILED = strawberry.enum_value(
        "PROVIDER_FAILED", description="The model's provider had a fault of its own, or broke the answer off."
    )
    PROVIDER_REFUSED = strawberry.enum_value(
        "PROVIDER_REFUSED", description="The model's provider refused the question as it was put; the same would be refused again."
    )
    PROVIDER_CREDIT_SPENT = strawberry.enum_value(
        "PROVIDER_CREDIT_SPENT", description="The account at the model's provider has no credit left."
    )
    CONTEXT_OVERFLOW = strawberry.enum_value("CONTEXT_OVERFLOW", description="The conversation is longer than the model can read.")
    CONTENT_BLOCKED = strawberry.enum_value("CONTENT_BLOCKED", description="The model's provider refused the content.")
    INTERNAL = strawberry.enum_value("INTERNAL", description="Something failed on our side.")


@strawberry.interface(description="A failure that a user can act on. Select `... on UserError` to be safe against new kinds.")
class UserError:
    message: str = strawberry.field(description="One sentence for people.")
    code: ErrorCode = strawberry.field(description="The kind of failure, for programs.")
    path: list[str] | None = strawberry.field(description="The input field it is about, from the mutation's input inwards.")


@strawberry.type(description="An input breaks a rule.")
class ValidationError(UserError):
    constraint: str | None = strawberry.field(description="The rule that was broken, such as `max_bytes=131072`.")


@strawberry.type(description="There is no such thing for this tenant.")
class NotFoundError(UserError):
    id: strawberry.ID | None = strawberry.field(description="The id that was not found, where it is known.", default=None)


@strawberry.type(description="The role or key does not allow this.")
class PermissionDeniedError(UserError):
    required_scopes: list[str] = strawberry.field(description="One of these scopes would have been enough.")


@strawberry.type(description="It changed meanwhile, or the name is taken.")
class ConflictError(UserError):
    current_revision: int | None = strawberry.field(description="The revision to start again from, where the type has one.")


@strawberry.type(description="Too much in too short a time.")
class RateLimitedError(UserError):
    bucket: str = strawberry.field(description="Which limit it was.")
    retry_after_ms: int = strawberry.field(description="When the same request may succeed, in milliseconds from now.")


ALL_ERRORS: list[type[UserError]] = []


@strawberry.type
class Payload:
    """What every mutation's payload shares."""

    errors: list[UserError] = strawberry.field(description="What could not be done; empty when all was.", default_factory=list)


def _path(error: PennyError) -> list[str] | None:
    return list(error.path) or None


_DRESSES: dict[type[PennyError], Callable[[Any], UserError]] = {}


def shown_as(family: type[PennyError], shown: type[UserError], **extra: Callable[[Any], Any]) -> None:
    """Say as what a family of exceptions is shown, and where the further fields come from; a noun's module adds its own."""

    def dress(error: PennyError) -> UserError:
        return shown(
            message=error.message, code=ErrorCode[error.code], path=_path(error), **{name: of(error) for name, of in extra.items()}
        )

    ALL_ERRORS.append(shown)
    _DRESSES[family] = dress


shown_as(Invalid, ValidationError, constraint=attrgetter("constraint"))
shown_as(NotFound, NotFoundError)
shown_as(PermissionDenied, PermissionDeniedError, required_scopes=lambda error: list(error.required_scopes))
shown_as(Conflict, ConflictError, current_revision=attrgetter("current_revision"))
shown_as(RateLimited, RateLimitedError, bucket=attrgetter("bucket"), retry_after_ms=attrgetter("retry_after_ms"))


def user_error(error: PennyError) -> UserError | None:
    """Dress an exception for a payload, as the nearest of its families says; None for those that belong to the transport."""
    dress = next((_DRESSES[family] for family in type(error).__mro__ if family in _DRESSES), None)
    return None if dress is None else dress(error)
