"""Where the time of a request went, for developers (the header `Server-Timing` of the W3C)."""

from time import perf_counter


class Timing:
    """The parts of a request, in the order in which they ended."""

    __slots__ = ("_began", "_last", "_parts")

    def __init__(self) -> None:
        self._began = self._last = perf_counter()
        self._parts: list[tuple[str, float]] = []

    def passed(self, part: str) -> None:
        """Say that a part has ended; it began when the part before it ended."""
        now = perf_counter()
        self._parts.append((part, now - self._last))
        self._last = now

    def header(self) -> bytes:
        """Make the header's value, in milliseconds."""
        parts = [*self._parts, ("total", perf_counter() - self._began)]
        return ", ".join(f"{part};dur={seconds * 1000:.2f}" for part, seconds in parts).encode()


class Untimed(Timing):
    """No time is taken where nobody is told."""

    __slots__ = ()

    def passed(self, part: str) -> None:
        """Do nothing."""


UNTIMED = Untimed()
