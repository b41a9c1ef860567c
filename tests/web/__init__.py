"""The door: HTTP, WebSocket, health, limits."""
