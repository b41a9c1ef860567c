"""What a model is given: the branch up to the question, trimmed from its old end to what the model can read."""

from uuid import UUID

from auth.encryption.ciphers import TenantCipher
from chat.assistants import Content, Parameters
from chat.contents import opened, plain_text
from db.scopes import Reading, Row
from db.statements import messages
from inference.deployments import Policy
from inference.models import ModelMessage, ModelRequest
from settings import Settings

_ROLES = {"USER": "user", "ASSISTANT": "assistant", "SYSTEM": "system"}
# OpenAI's rule of thumb for English; a message costs four tokens more than its text.
BYTES_PER_TOKEN = 4
MESSAGE_TOKENS = 4
BEGINNING, END = -1, 2_147_483_647


async def read_branch(scope: Reading, tenant_id: UUID, run: Row, settings: Settings) -> list[Row]:
    """Read the messages that lead to the run's question, the oldest first."""
    asked = (run["chat_id"], run["input_message_id"])
    pages = await messages.pages_of_branches(
        scope, tenant_id, [asked], newest_first=True, above=BEGINNING, below=END, roles=None, limit=settings.run_context_messages
    )
    return list(reversed(pages.get(asked, [])))


def request_for(  # noqa: PLR0913 - what a request is made of
    run: Row, branch: list[Row], version: Content | None, cipher: TenantCipher, *, policy: Policy, settings: Settings
) -> ModelRequest:
    """Make the request: the assistant's instructions, as many of the latest messages as fit beside the answer, and the question.

    The model that reads most of those that may be asked says how much fits.
    """
    parameters = version.parameters if version else Parameters()
    widest = max((one.model for one in policy.candidates), key=lambda model: model.context_tokens)
    asked = run["max_output_tokens"] or parameters.max_output_tokens or settings.model_max_output_tokens
    most = min(asked, widest.max_output_tokens)
    room = widest.context_tokens - most
    told = [] if version is None else [ModelMessage("system", version.instructions)]
    room -= sum(tokens_of(message.text) for message in told)
    chosen: list[ModelMessage] = []
    for row in reversed(branch):
        text = plain_text(opened(cipher, row["id"], row["content"]))
        room -= tokens_of(text)
        if chosen and room < 0:
            break
        if text and row["role"] in _ROLES:
            chosen.append(ModelMessage(_ROLES[row["role"]], text))  # type: ignore[arg-type] # the table holds the literals
    return ModelRequest(messages=(*told, *reversed(chosen)), max_output_tokens=most, temperature=parameters.temperature)


def tokens_of(text: str) -> int:
    """Estimate what a message costs."""
    return len(text.encode()) // BYTES_PER_TOKEN + MESSAGE_TOKENS
