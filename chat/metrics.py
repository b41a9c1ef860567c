"""What is counted of runs: those that workers claim and end, those that wait, and readers who could not keep up."""

from datetime import UTC, datetime
from typing import Final

from chat.outcomes import ERROR_CODES
from telemetry.instruments import LONG_SECONDS, Counter, Gauge, Histogram

CLAIMS: Final = Counter(
    "penny.run.claims",
    unit="{run}",
    description="Runs that workers began, or took over from a worker that was lost or stopped.",
    attributes={"penny.run.claim": ("first", "takeover")},
)
RUNS: Final = Histogram(
    "penny.run.duration",
    unit="s",
    description="How long runs took from the question to their end, of those that a worker ended.",
    bounds=LONG_SECONDS,
    attributes={
        "penny.run.status": ("COMPLETED", "INCOMPLETE", "CANCELLED", "FAILED"),
        "error.type": ERROR_CODES,
    },
)
FIRST_TOKENS: Final = Histogram(
    "penny.run.time_to_first_token",
    unit="s",
    description="How long people waited for the first word of an answer, from their question on.",
    bounds=LONG_SECONDS,
)
ACTIVE: Final = Gauge("penny.run.active", unit="{run}", description="Answers that the worker makes now.")
WAITING: Final = Gauge(
    "penny.run.queue.length",
    adds=False,
    unit="{run}",
    description="Runs that wait for a worker, as each worker saw them when it last looked.",
)
OLDEST: Final = Gauge("penny.run.queue.oldest", adds=False, unit="s", description="How long the oldest of them has been waiting.")
SLOW_READERS: Final = Counter(
    "penny.run.reader.delays",
    unit="{delay}",
    description="How often a reader of a run did not keep up: was told larger pieces, or the log was read anew because too much waited.",
    attributes={"penny.run.reader.remedy": ("merged", "overrun")},
)


def count_end(created_at: datetime, status: str, error_code: str | None, *, first_token_ms: int | None = None) -> None:
    """Count a run that has ended."""
    RUNS.record((datetime.now(UTC) - created_at).total_seconds(), status, error_code)
    if first_token_ms is not None:
        FIRST_TOKENS.record(first_token_ms / 1000)
