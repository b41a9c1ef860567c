"""Opens the door: HTTP, WebSocket, GraphiQL, health, start and stop. `works.py` is where everything is put together."""
