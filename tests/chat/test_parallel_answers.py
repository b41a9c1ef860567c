"""Several models answer one message, each in an answer of its own."""

from pathlib import Path
from uuid import uuid4

from tests.api.people import done, refused
from tests.api.test_messages import page
from tests.api.test_trees import MODELS, branches_of, ids, message_of, words
from tests.chat.talking import hear, new_chat
from tests.running import Api, running, running_web


async def test_several_models_answer_side_by_side(lonely: dict[str, str], tmp_path: Path) -> None:
    """Each model's run makes an answer of its own, and the chat goes on from the first one's."""
    more = "\n".join(
        f'[[deployments]]\nkey = "d{n}"\nmodel = "openai/gpt-{name}"\nbase_url = "http://127.0.0.1:9/v1"\nwire = "scripted"\n'
        for n, name in enumerate(("5", "4o"))
    )
    (tmp_path / "models.toml").write_text(more)
    lonely |= {"PENNY_MODELS_FILE": str(tmp_path / "models.toml"), "PENNY_RUN_PARALLEL_MODELS": "3"}
    async with running_web(lonely) as (url, _), running(lonely, "worker"), Api(url) as api:
        ada = await api.sign_up()
        chat_id = await new_chat(ada)
        models = {node["key"]: node["id"] for node in (await ada.data(MODELS))["models"]["nodes"]}
        chosen = [models["platform/scripted"], models["openai/gpt-5"], models["openai/gpt-4o"]]
        payload = await done(
            ada, "messageSend", "message { id } runs { id model { id } outputs { id model { id } } }", chatId=chat_id,
            content=[{"text": "!script tokens=30 delay_ms=5"}], modelIds=chosen, idempotencyKey=uuid4().hex,
        )  # fmt: skip
        assert [run["model"]["id"] for run in payload["runs"]] == chosen
        answers = [run["outputs"][0] for run in payload["runs"]]
        assert [answer["model"]["id"] for answer in answers] == chosen
        waiting = await done(
            ada, "messageSend", "runs { id }", chatId=chat_id, content=[{"text": "next"}], idempotencyKey=uuid4().hex, ifBusy="QUEUE"
        )
        for run in (*payload["runs"], *waiting["runs"]):
            assert (await hear(ada, run["id"])).end["status"] == "COMPLETED"
        assert (await message_of(ada, answers[2]["id"]))["siblings"] == [{"id": answer["id"]} for answer in answers]
        assert ids(await page(ada, chat_id, first=9))[:2] == [payload["message"]["id"], answers[0]["id"]]
        assert words(await page(ada, chat_id, first=9))[2:] == ["next", "next"]
        assert len((await branches_of(ada, chat_id))["nodes"]) == 3
        too_many = [*chosen, models["embedded/wordllama"]]
        for wrong in (too_many, []):
            error = await refused(ada, "messageSend", chatId=chat_id, content=[{"text": "x"}], modelIds=wrong, idempotencyKey=uuid4().hex)
            assert (error["__typename"], error["path"]) == ("ValidationError", ["modelIds"])
