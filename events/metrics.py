"""What is counted of Valkey and of jobs."""

from typing import Final

from telemetry.instruments import LONG_SECONDS, Counter, Histogram, Known

VALKEY_FAILURES: Final = Counter(
    "penny.valkey.failures",
    unit="{failure}",
    description="How often Valkey could not be reached, or broke off before it had answered.",
    attributes={"penny.valkey.step": ("connect", "command", "answer")},
)
JOBS: Final = Histogram(
    "penny.job.duration",
    unit="s",
    description="How long a turn at a job took, by how it ended: `retried` is tried again, `left` goes on in another worker.",
    bounds=LONG_SECONDS,
    attributes={
        "penny.job.kind": Known("the kinds of jobs of this version"),
        "penny.job.outcome": ("succeeded", "failed", "cancelled", "retried", "left"),
    },
)
