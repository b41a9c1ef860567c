"""The models: one `Provider` for every kind of endpoint, read by wire readers of our own, and embeddings.

The wires know neither chats nor tenants: a request goes in, a stream of typed events comes out, and every failure is a
`ProviderFailed`. `catalogue` and `platform` say what anybody can ask, `offerings` what one viewer can.
"""
