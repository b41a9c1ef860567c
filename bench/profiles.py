"""Where a web process's time goes: `python -m bench.profiles FILE serve …` runs `penny serve …` and looks at it every millisecond.

A signal interrupts the process after each millisecond of CPU time and notes which function it is in. Unlike cProfile that costs the
same whatever runs, so functions which call a lot do not look slower than they are. Time in C counts for the function that called it.
"""

import json
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

from cli import main as penny

INTERVAL: Final = 0.001
ROOT: Final = Path(__file__).parent.parent


@dataclass(frozen=True)
class Place:
    """A function, and which part of all samples were taken in it: itself, or what it called too."""

    function: str
    itself: float
    whole: float


class Sampler:
    """Counts where the process is; SIGUSR1 begins anew and SIGUSR2 writes what was counted, for uvicorn ends without a last word."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._itself: Counter[CodeType] = Counter()
        self._whole: Counter[CodeType] = Counter()

    def install(self) -> None:
        signal.signal(signal.SIGPROF, self._look)
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._write)

    def _begin(self, *_: object) -> None:
        self._itself.clear()
        self._whole.clear()
        self._rest()

    def _rest(self) -> None:
        # Armed anew after each look: one that is slow must not be interrupted by the next.
        signal.setitimer(signal.ITIMER_PROF, INTERVAL)

    def _look(self, _: int, frame: FrameType | None) -> None:
        seen: set[CodeType] = set()
        if frame is not None:
            self._itself[frame.f_code] += 1
        while frame is not None:
            seen.add(frame.f_code)
            frame = frame.f_back
        self._whole.update(seen)
        self._rest()

    def _write(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps([_named(self._itself), _named(self._whole)]))
        draft.rename(self._file)


def _named(counted: Counter[CodeType]) -> Counter[str]:
    """Name functions by their files, from the checkout or from a library on."""
    named: Counter[str] = Counter()
    for code, count in counted.items():
        file = Path(code.co_filename)
        if "site-packages" in file.parts:
            file = Path(*file.parts[file.parts.index("site-packages") + 1 :])
        elif file.is_relative_to(ROOT):
            file = file.relative_to(ROOT)
        elif file.is_absolute():
            file = Path("python", file.name)
        named[f"{file} {code.co_qualname}"] += count
    return named


def read(file: Path) -> list[Place]:
    """Read what was counted, the most expensive first."""
    itself, whole = json.loads(file.read_text())
    every = sum(itself.values())
    return [Place(name, count / every, whole[name] / every) for name, count in Counter(itself).most_common()]


if __name__ == "__main__":
    Sampler(Path(sys.argv[1])).install()
    sys.argv = ["penny", *sys.argv[2:]]
    penny.main()
