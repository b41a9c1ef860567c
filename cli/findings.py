"""What a check of `penny doctor` says."""

from dataclasses import dataclass
from typing import Final

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"


@dataclass(frozen=True)
class Finding:
    """How a part is; `advice` says what to do where it is not well."""

    part: str
    level: str
    text: str
    advice: str = ""


def said(error: BaseException) -> str:
    """What an exception says, in one line; some say nothing but their name."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
