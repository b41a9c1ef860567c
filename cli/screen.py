"""What a person sees while something takes long: a spinner on a terminal, plain lines elsewhere."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console


@contextlib.contextmanager
def working(text: str, console: Console) -> Iterator[Callable[[str], None]]:
    """Say what is being done while the block runs; the function given tells of a step."""
    if not console.is_terminal:
        console.print(text, markup=False, highlight=False)
        yield lambda step: console.print(f"  {step}", markup=False, highlight=False)
        return
    with console.status(text) as status:
        yield lambda step: status.update(f"{text} [dim]{step}[/dim]")
