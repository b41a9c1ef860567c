"""What a person does to an answer: stops it, hands it more to answer, or has it go on from where it ended."""

from collections.abc import Sequence
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.viewers import Viewer
from chat.acts import Act, Acts
from chat.branches import place_after
from chat.choices import Choices
from chat.claims import Made
from chat.contents import copied, opened
from chat.dispatch import Dispatch
from chat.drafts import check_texts
from chat.exchanges import Order, Sent, answer_again, person_says, say, sent_before, terms_of
from chat.locks import speakable, writable
from chat.queues import Stop
from chat.turns import Busy, ask_to_stop, take_turn
from db.scopes import Row
from db.statements import messages, runs
from errors import Conflict, NotFound
from settings import Settings


class RunHasEnded(Conflict):
    """An answer that has ended takes nothing more."""

    def __init__(self) -> None:
        super().__init__("The run has ended; send a message instead.", path=("runId",))


class NothingToContinue(Conflict):
    """An answer goes on only from where it ended too early."""

    def __init__(self) -> None:
        super().__init__("The answer is whole, or its provider would not go on; regenerate it instead.", path=("runId",))


class Interventions:
    """Stops, steers and continues answers, for viewers who may write in their chats."""

    def __init__(self, *, acts: Acts, dispatch: Dispatch, choices: Choices, settings: Settings) -> None:
        self._acts = acts
        self._dispatch = dispatch
        self._choices = choices
        self._settings = settings

    async def cancel(self, viewer: Viewer, run_id: UUID) -> tuple[Row, bool]:
        """Stop an answer from anywhere; what was said is kept. Returns the run and whether it had ended before."""
        async with self._acts.begun(viewer) as act:
            run, missing = await _known(act, run_id)
            await writable(act.scope, viewer, run["chat_id"], missing)
            stopped = await ask_to_stop(act, run, Stop.CANCEL)
            run = await runs.by_id(act.scope, act.tenant_id, run_id) or run
        if stopped is None:
            return run, True
        await self._dispatch.stops(act.cipher, [stopped])
        return run, False

    async def steer(self, viewer: Viewer, run_id: UUID, texts: Sequence[str], *, key: str) -> Sent:
        """Hand an answer more to answer: it ends at a clean point with what was said, and a new run goes on from there.

        The message follows the answer, and the new run waits for its end. Raises `RunHasEnded`.
        """
        check_texts(texts, self._settings)
        choice = await self._choices.of(viewer)
        async with self._acts.begun(viewer) as act:
            run, missing = await _known(act, run_id)
            made = Made(run["chat_id"], uuid7(), (uuid7(),))
            if (earlier := await act.claimed("runSteer", key, {"run": run_id.hex, "texts": list(texts)}, made)) is not None:
                return await sent_before(act, earlier)
            chat = await speakable(act.scope, viewer, run["chat_id"], missing)
            stopped = await ask_to_stop(act, run, Stop.STEER)
            if stopped is None:
                raise RunHasEnded
            turn = await take_turn(act, chat["id"], Busy.QUEUE)
            place = await place_after(act.scope, act.tenant_id, chat["id"], run["output_message_id"])
            order = Order(
                run_ids=made.runs, choice=choice, models=(run["model_id"],), turn=turn.number, background=run["background"],
                **terms_of(run),
            )  # fmt: skip
            said = await say(act, chat["id"], person_says(act, made.message, place, texts), order)
            position = await runs.queued_before(act.scope, act.tenant_id, made.runs[0])
        await self._dispatch.stops(act.cipher, [stopped])
        await self._dispatch.waits(act.cipher, said.runs, position)
        return Sent(chat, said.question, said.runs, reused=False)

    async def resume(self, viewer: Viewer, run_id: UUID, *, key: str) -> Sent:
        """Go on from where an answer ended too early, in a sibling that begins with what it said; the old answer stays as it is.

        Raises `NothingToContinue`.
        """
        choice = await self._choices.of(viewer)
        async with self._acts.begun(viewer) as act:
            run, missing = await _known(act, run_id)
            made = Made(run["chat_id"], None, (uuid7(),))
            if (earlier := await act.claimed("runContinue", key, run_id.hex, made)) is not None:
                return await sent_before(act, earlier)
            chat = await speakable(act.scope, viewer, run["chat_id"], missing)
            turn = await take_turn(act, chat["id"])
            # Nothing is open in the chat, so this run has ended too.
            run = await runs.by_id(act.scope, act.tenant_id, run_id) or run
            if run["status"] == "COMPLETED" or run["stop_reason"] == "CONTENT_POLICY":
                raise NothingToContinue
            question = await messages.by_id(act.scope, act.tenant_id, run["input_message_id"])
            answer = await messages.by_id(act.scope, act.tenant_id, run["output_message_id"])
            assert question is not None, "a run is deleted with its messages"
            assert answer is not None, "a run is deleted with its messages"
            order = Order(
                run_ids=made.runs, choice=choice, models=(run["model_id"],), turn=turn.number, background=run["background"],
                continues=run_id, begins_as=answer["id"], begins_with=copied(opened(act.cipher, answer["id"], answer["content"])),
                **terms_of(run),
            )  # fmt: skip
            said = await answer_again(act, question, order)
            position = await runs.queued_before(act.scope, act.tenant_id, made.runs[0])
        await self._dispatch.waits(act.cipher, said.runs, position)
        return Sent(chat, None, said.runs, reused=False)


async def _known(act: Act, run_id: UUID) -> tuple[Row, NotFound]:
    """Read a run, and say what to raise where its chat is not the viewer's: somebody else's private run gives the same answer as none."""
    missing = NotFound("There is no Run with this id.", path=("runId",))
    run = await runs.by_id(act.scope, act.tenant_id, run_id)
    if run is None:
        raise missing
    return run, missing
