"""The run engine: logs, resumption, lost workers, what is encrypted."""
