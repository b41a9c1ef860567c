"""What just happened: facts and those who follow them, the Valkey bus, the tails of run logs, and revocations for every process.

Also jobs: work that outlives the request which wanted it.
"""
