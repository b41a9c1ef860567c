"""The models: one `Provider` for every kind of endpoint, read by wire readers of our own, and embeddings.

Nothing here knows of chats, tenants or the database: a request goes in, a stream of typed events comes out, and every
failure is a `ProviderFailed`. Nothing here retries; whoever routes decides that.
"""
