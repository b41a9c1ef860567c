"""What leaves the process: results with errors that are safe to read, everything unknown masked behind a request id."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from graphql import ExecutionResult, GraphQLError

from errors import Code, Invalid, NotFound, PennyError, PermissionDenied, RateLimited, Unauthenticated, Unavailable
from web.metrics import REFUSED

log = structlog.get_logger()

_TRANSPORT_CODES = {"VALIDATION": Code.BAD_USER_INPUT, "RATE_LIMITED": Code.THROTTLED}


def answer(result: ExecutionResult, request_id: str) -> dict[str, Any]:
    """Make the response's JSON of a result."""
    shown: dict[str, Any] = {}
    if result.errors:
        shown["errors"] = [safe_error(error, request_id) for error in result.errors]
    if result.data is not None or not result.errors or any(error.path for error in result.errors):
        shown["data"] = result.data
    if result.extensions:
        shown["extensions"] = result.extensions
    return shown


def refusal(code: Code, message: str, **extensions: Any) -> dict[str, Any]:
    """Make the response's JSON where nothing ran."""
    return {"errors": [{"message": message, "extensions": {"code": code, **extensions}}]}


def refused(error: PennyError) -> dict[str, Any]:
    """Make the response's JSON where a failure of our own kept everything from running."""
    return {"errors": [{"message": error.message, "extensions": _extensions(error)}]}


def safe_error(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """Show an error: our own in their words, a document's mistakes as they are, the rest masked and logged."""
    cause = cause_of(error)
    shown: dict[str, Any] = {"message": error.message}
    if error.locations:
        shown["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path:
        shown["path"] = error.path
    if isinstance(cause, PennyError):
        shown["message"] = cause.message
        shown["extensions"] = _extensions(cause)
    elif cause is None:
        shown["extensions"] = {"code": Code.BAD_USER_INPUT, **(error.extensions or {})}
    else:
        log.error("operation_failed", request_id=request_id, path=error.path, exc_info=cause)
        shown["message"] = "Something failed on our side."
        shown["extensions"] = {"code": Code.INTERNAL, "requestId": request_id}
    _let_go(error)
    return shown


def _let_go(error: BaseException | None) -> None:
    """Let go of the frames that an error passed, now that it has been told: they hold the plan and the request, in a circle."""
    while error is not None:
        error.__traceback__ = None
        error = error.original_error if isinstance(error, GraphQLError) else error.__cause__ or error.__context__


def code_of(error: PennyError) -> str:
    """Name a failure for the transport."""
    if isinstance(error, Unauthenticated):
        return error.reason
    return _TRANSPORT_CODES.get(error.code, error.code)


def _extensions(error: PennyError) -> dict[str, Any]:
    extensions: dict[str, Any] = {"code": code_of(error)}
    if isinstance(error, RateLimited):
        extensions |= {"bucket": error.bucket, "retryAfterMs": error.retry_after_ms}
    elif isinstance(error, PermissionDenied):
        extensions["requiredScopes"] = list(error.required_scopes)
    elif isinstance(error, Invalid) and error.constraint:
        extensions["constraint"] = error.constraint
    if isinstance(error, Invalid | NotFound) and error.path:
        extensions["argument"] = list(error.path)
    return extensions


def code_of_result(result: ExecutionResult) -> str | None:
    """Name the first error of a result, as it is told; None where there is none."""
    if not result.errors:
        return None
    cause = cause_of(result.errors[0])
    if isinstance(cause, PennyError):
        return str(code_of(cause))
    return Code.INTERNAL.value if cause is not None else str((result.errors[0].extensions or {}).get("code", Code.BAD_USER_INPUT))


def count_refusal(errors: Sequence[Mapping[str, Any]]) -> None:
    """Count an operation of which nothing ran, by its first error as it is told."""
    REFUSED.add(1, str(errors[0].get("extensions", {}).get("code", Code.INTERNAL)))


def is_outage(result: ExecutionResult) -> bool:
    """Whether something of a result is missing because a server was away."""
    return any(isinstance(cause_of(error), Unavailable) for error in result.errors or ())


def cause_of(error: GraphQLError) -> BaseException | None:
    """Find what was raised first; a GraphQLError all the way down is a mistake of the document or its variables."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause
