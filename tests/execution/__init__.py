"""Proof that compiled operations answer as graphql-core does: random schemas, documents, data and failures, run both ways and compared."""
