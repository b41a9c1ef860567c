"""What just happened: the Valkey bus, the tails of run logs, revocations that every process must hear of, and jobs to be done later."""
