import asyncio, sys
from tests.chat.talking import *
from tests.running import Api
async def test_x(api: Api) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=60 delay_ms=8")
    last = None
    for i in range(12):
        async def go():
            async for payload in ada.subscribe(EVENTS, runId=run_id, after=last):
                print(i, payload, flush=True, file=sys.stderr)
                yield payload
        n = 0
        stream = ada.subscribe(EVENTS, runId=run_id, after=last)
        try:
            while n < 5:
                p = await asyncio.wait_for(anext(stream), 8)
                n += 1
                last = p["data"]["runEvents"]["seq"]
                print(i, last, p["data"]["runEvents"]["__typename"], flush=True, file=sys.stderr)
        except StopAsyncIteration: 
            print("end"); break
        except TimeoutError:
            print(i, "TIMEOUT", flush=True, file=sys.stderr)
            raise
        print("closing", flush=True, file=sys.stderr)
        await asyncio.wait_for(stream.aclose(), 5)
        print("closed", flush=True, file=sys.stderr)
