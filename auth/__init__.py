"""Who is asking: accounts, sessions, API keys, roles, policies, and the keys that data is encrypted under.

Policies are pure functions over a viewer and a row. Nothing here knows of GraphQL or of HTTP.
"""
