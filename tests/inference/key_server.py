"""An endpoint on loopback that knows its keys: it lists its models for those alone, in either vendor's way of being told."""

from typing import Self

from aiohttp import web


class KeyServer:
    """`async with KeyServer("sk-right") as server`: `server.keys` are taken, `server.seen` are all that came; `status` overrules."""

    def __init__(self, *keys: str) -> None:
        self.keys = set(keys)
        self.seen: list[str] = []
        self.status: int | None = None
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        key = request.headers.get("x-api-key") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.seen.append(key)
        if self.status is not None:
            return web.json_response({"error": {"message": f"wrong: {key}"}}, status=self.status)
        if key not in self.keys:
            return web.json_response({"error": {"message": f"Incorrect API key provided: {key}"}}, status=401)
        return web.json_response({"object": "list", "data": [{"id": "m"}]})
