"""What the gateway knows of its clients: the documents that they send, by id.

`formats` reads manifests as the tools of clients write them, `manifests` publishes them, `registry` finds a document by its id,
`automatic` keeps those that clients register by themselves, `uses` counts.
"""
