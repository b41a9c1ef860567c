"""The embedded stack: real servers out of wheels (PostgreSQL with pgvector, Valkey, S3, a language model) for `penny dev`, tests and CI.

One `Stack` starts, checks and stops them; their data stay in one folder and they listen on unix sockets and loopback only.
It knows no passwords on its private sockets and one machine only, so it is never for production: the command line refuses it there.
"""
