"""What just happened: the Valkey bus, the tails of run logs, and revocations that every process must hear of."""
