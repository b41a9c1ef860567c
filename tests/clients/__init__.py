"""Clients that other people wrote, against the running server: npm's graphql-ws and Apollo Client, and GraphiQL in a browser."""
