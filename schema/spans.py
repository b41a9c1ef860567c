"""Spans of time."""

from datetime import datetime

import strawberry


@strawberry.input(description="A span of time.")
class TimeRange:
    from_: datetime = strawberry.field(name="from", description="Its beginning, which belongs to it.")
    to: datetime = strawberry.field(description="Its end, which does not.")
