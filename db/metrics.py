"""What is counted of PostgreSQL: connections and who waits for them, and where queries read."""

from typing import Final

from telemetry.instruments import SECONDS, Counter, Gauge, Histogram

POOLS: Final = ("app", "system", "replica")
_POOL: Final = {"db.client.connection.pool.name": POOLS}

CONNECTIONS: Final = Gauge(
    "db.client.connection.count",
    unit="{connection}",
    description="Connections to PostgreSQL that are open, by whether somebody uses them.",
    attributes={**_POOL, "db.client.connection.state": ("idle", "used")},
)
MOST: Final = Gauge("db.client.connection.max", unit="{connection}", description="Most connections of the pool.", attributes=_POOL)
PENDING: Final = Gauge(
    "db.client.connection.pending_requests",
    unit="{request}",
    description="How many wait for a connection now.",
    attributes=_POOL,
)
WAITED: Final = Histogram(
    "db.client.connection.wait_time",
    unit="s",
    description="How long those waited for a connection, or opened one, for whom none was idle.",
    bounds=SECONDS,
    attributes=_POOL,
)
TIMEOUTS: Final = Counter(
    "db.client.connection.timeouts",
    unit="{timeout}",
    description="How often no connection was to be had in `PENNY_DATABASE_ACQUIRE_SECONDS`.",
    attributes=_POOL,
)
QUERIES_BEGUN: Final = Counter(
    "penny.database.queries_begun",
    unit="{transaction}",
    description="Read transactions of queries where there is a replica, by the server that served them and why.",
    attributes={"penny.database.server": ("primary", "replica"), "penny.database.reason": ("fresh", "behind", "unknown", "away", "failed")},
)
