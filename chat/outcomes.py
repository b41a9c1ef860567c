"""How runs end, and why."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from errors import PennyError
from inference.models import FailureKind, ProviderFailed, StopReason, Trouble

_ERROR_CODES: Final[dict[StrEnum, str]] = {
    FailureKind.RATE_LIMIT: "RATE_LIMITED",
    FailureKind.TIMEOUT: "PROVIDER_TIMEOUT",
    FailureKind.SERVER_ERROR: "PROVIDER_FAILED",
    FailureKind.CONTEXT_WINDOW: "CONTEXT_OVERFLOW",
    FailureKind.CONTENT_POLICY: "CONTENT_BLOCKED",
    FailureKind.AUTH: "CREDENTIAL_INVALID",
    FailureKind.BUDGET: "PROVIDER_CREDIT_SPENT",
    Trouble.UNREACHABLE: "PROVIDER_UNREACHABLE",
    Trouble.BROKE_OFF: "PROVIDER_FAILED",
    Trouble.REFUSED: "PROVIDER_REFUSED",
    Trouble.UNKNOWN_MODEL: "MODEL_UNAVAILABLE",
    Trouble.COOLING_DOWN: "MODEL_COOLING_DOWN",
    Trouble.NOBODY_FITS: "MODEL_UNAVAILABLE",
}
ERROR_CODES: Final = ("INTERNAL", *dict.fromkeys(_ERROR_CODES.values()))
"""All that may be said of why a run failed."""


class ModelFailed(PennyError):
    """A model was asked in vain for work that nobody waits for; the code says what happened, as that of a run would."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def of(cls, failure: ProviderFailed) -> Self:
        """Say what became of the last attempt."""
        return cls(failure.message, code=error_code(failure))


@dataclass(frozen=True)
class Outcome:
    """How a run ended; the message's status follows from the run's."""

    status: str
    stop_reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None

    @property
    def message_status(self) -> str:
        return {"COMPLETED": "COMPLETE", "FAILED": "FAILED"}.get(self.status, "INCOMPLETE")


CANCELLED: Final = Outcome("CANCELLED", "USER_CANCEL")
STEERED: Final = Outcome("INCOMPLETE", "STEERED")
LOST: Final = Outcome("INCOMPLETE", "PROVIDER_ERROR", "INTERNAL", "The worker was lost; what was said before is kept.")
GIVEN_UP: Final = Outcome("FAILED", "PROVIDER_ERROR", "INTERNAL", "The run was begun too often without an end.")
BROKEN: Final = Outcome("FAILED", "PROVIDER_ERROR", "INTERNAL", "Something failed on our side.")
OUT_OF_TOKENS: Final = Outcome("INCOMPLETE", "MAX_TOKENS")
ENDS: Final = {
    StopReason.END_TURN: Outcome("COMPLETED", "END_TURN"),
    StopReason.MAX_TOKENS: OUT_OF_TOKENS,
    StopReason.CONTENT_POLICY: Outcome("INCOMPLETE", "CONTENT_POLICY"),
}


def unavailable(error: PennyError) -> Outcome:
    """Say that nobody can be asked any more."""
    return Outcome("FAILED", "PROVIDER_ERROR", "MODEL_UNAVAILABLE", error.message)


def failed(failure: ProviderFailed) -> Outcome:
    """Say what a model's failure means for the run."""
    return Outcome("FAILED", "PROVIDER_ERROR", error_code(failure), failure.message)


def error_code(failure: ProviderFailed) -> str:
    """Name a model's failure as the API does."""
    return _ERROR_CODES[failure.trouble or failure.kind]
