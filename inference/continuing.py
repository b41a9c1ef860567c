"""How a broken answer is gone on with: by its beginning as the model's own words, or by an instruction where the model cannot do that."""

from typing import Final

import msgspec

from inference.deployments import Capability, Deployment
from inference.models import ModelMessage, ModelRequest, estimated_usage

_INSTRUCTION: Final = (
    "Your last message was cut off by a technical failure. Go on exactly where it stops, in the middle of the sentence or word if need be. "
    "Repeat nothing of it, and say nothing about the interruption."
)


class Seam:
    """Joins what an attempt goes on with to what was said before.

    Where no beginning may end in white space, it is sent without; what a model then begins with is there already.
    """

    def __init__(self, said: str) -> None:
        self._space = said[len(said.rstrip()) :]

    def joined(self, text: str) -> str:
        """The text as it follows what was said, without the white space that both have."""
        while self._space and text and text[0] == self._space[0]:
            text, self._space = text[1:], self._space[1:]
        if text:
            self._space = ""
        return text


class Rest(msgspec.Struct, frozen=True):
    """What an attempt is asked for, and how it joins what was said."""

    request: ModelRequest
    seam: Seam

    def request_for(self, deployment: Deployment) -> ModelRequest:
        """The request as a deployment can take it: no longer an answer than its model gives, and has room for beside the question."""
        model, wanted = deployment.model, self.request.max_output_tokens
        left = model.context_tokens - estimated_usage(self.request, output_bytes=0).input_tokens
        most = min(wanted, model.max_output_tokens, max(left, model.reserved(wanted)))
        return msgspec.structs.replace(self.request, max_output_tokens=most)


def begun(request: ModelRequest) -> str:
    """How the answer began already, by the assistant's message that stands last."""
    return request.messages[-1].text if request.messages and request.messages[-1].role == "assistant" else ""


def continued(request: ModelRequest, said: str, deployment: Deployment, *, output_tokens: int = 0) -> Rest:
    """Ask for the rest of an answer of which this was said, in about so many tokens, after what it began with.

    Anthropic refuses a beginning that ends in white space; a model that is told to go on makes its own.
    """
    told = begun(request) + said
    prefills = Capability.PREFILL in deployment.model.capabilities
    beginning = told if prefills and deployment.wire != "anthropic" else told.rstrip()
    before = request.messages[:-1] if begun(request) else request.messages
    messages = (*before, ModelMessage("assistant", beginning)) if beginning else before
    if beginning and not prefills:
        messages = (*messages, ModelMessage("user", _INSTRUCTION))
    left = max(1, request.max_output_tokens - output_tokens)
    return Rest(msgspec.structs.replace(request, messages=messages, max_output_tokens=left), Seam(told.removeprefix(beginning)))
