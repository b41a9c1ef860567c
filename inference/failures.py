"""What a refusal, an error in mid-stream or a broken connection means: the table from wires to `ProviderFailed`."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from inference.models import FailureKind, ProviderFailed, Trouble, Usage

# All other statuses are SERVER_ERROR.
_KINDS: dict[int, FailureKind] = {
    HTTPStatus.UNAUTHORIZED: FailureKind.AUTH,
    HTTPStatus.PAYMENT_REQUIRED: FailureKind.BUDGET,
    HTTPStatus.FORBIDDEN: FailureKind.AUTH,
    HTTPStatus.NOT_FOUND: FailureKind.AUTH,  # OpenAI's answer to a model that this key may not use
    HTTPStatus.REQUEST_TIMEOUT: FailureKind.TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: FailureKind.CONTEXT_WINDOW,
    HTTPStatus.TOO_MANY_REQUESTS: FailureKind.RATE_LIMIT,
    HTTPStatus.GATEWAY_TIMEOUT: FailureKind.TIMEOUT,
}

# What endpoints write where the status alone says too little: OpenAI, Azure, Anthropic, vLLM, llama.cpp.
_SIGNS = {
    FailureKind.CONTEXT_WINDOW: (
        rb"context_length_exceeded|exceed_context_size|maximum context length|context (window|size)|prompt is too long"
    ),
    FailureKind.CONTENT_POLICY: rb"content_filter|content_policy|content management policy|content filtering",
    FailureKind.BUDGET: rb"insufficient_quota|billing_error|billing_hard_limit|credit balance",
    FailureKind.AUTH: rb"invalid_api_key|authentication_error|model_not_found",
    FailureKind.RATE_LIMIT: rb"rate_limit|too_many_requests",
    FailureKind.TIMEOUT: rb"timeout|timed out",
}
# The statuses whose body is read for signs; elsewhere an echo of the prompt could only mislead.
_UNCLEAR: frozenset[int] = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.TOO_MANY_REQUESTS})
_STATUS_IN_ERROR = re.compile(rb'"(?:code|status|status_code)"\s*:\s*"?([45]\d\d)\b')
_LONGEST_WAIT_SECONDS = 86_400


def failure_of_status(status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailed:
    """An answer that was refused; its body is searched, never shown."""
    kind = _kind(status, body)
    return ProviderFailed(kind, status=status, retry_after_ms=retry_after_ms(headers), trouble=_trouble(kind, status))


def failure_in_stream(error: bytes) -> ProviderFailed:
    """An error object (JSON) in an answer that had begun; some endpoints name an HTTP status in it."""
    named = _STATUS_IN_ERROR.search(error)
    status = int(named[1]) if named else None
    kind = _kind(status, error)
    return ProviderFailed(kind, status=status, trouble=_trouble(kind, status))


def failure_of_connection(error: Exception, usage: Usage | None = None) -> ProviderFailed:
    """A connection that could not be made, fell silent or broke, or bytes that are no answer; and what was used until then.

    An answer had begun where anything was used.
    """
    if isinstance(error, TimeoutError):
        return ProviderFailed(FailureKind.TIMEOUT, usage=usage)
    trouble = Trouble.UNREACHABLE if usage is None else Trouble.BROKE_OFF
    return ProviderFailed(FailureKind.SERVER_ERROR, usage=usage, trouble=trouble)


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """`retry-after-ms` (OpenAI, Azure) or `Retry-After` in seconds or as a date (RFC 9110, 10.2.3); nonsense is None."""
    for name, milliseconds in (("retry-after-ms", 1), ("Retry-After", 1000)):
        wait = _milliseconds(headers.get(name, ""), milliseconds)
        if wait is not None and 0 <= wait <= _LONGEST_WAIT_SECONDS * 1000:
            return int(wait)
    return None


def _milliseconds(text: str, unit: int) -> float | None:
    try:
        return float(text) * unit
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds() * 1000)


def _kind(status: int | None, text: bytes) -> FailureKind:
    if status is None or status in _UNCLEAR:
        for kind, sign in _SIGNS.items():
            if re.search(sign, text, re.IGNORECASE):
                return kind
    return FailureKind.SERVER_ERROR if status is None else _KINDS.get(status, FailureKind.SERVER_ERROR)


def _trouble(kind: FailureKind, status: int | None) -> Trouble | None:
    if status == HTTPStatus.NOT_FOUND and kind is FailureKind.AUTH:
        return Trouble.UNKNOWN_MODEL
    refused = status is not None and HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return Trouble.REFUSED if refused and kind is FailureKind.SERVER_ERROR else None
