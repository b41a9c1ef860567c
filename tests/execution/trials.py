"""A trial: one operation over one schema in one world, run by the compiler and by graphql-core, and how the answers differ."""

import asyncio
import json
import os
from collections import Counter
from dataclasses import dataclass
from inspect import isawaitable
from random import Random
from typing import Any, Final

import hypothesis
from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
    parse,
)

from execution import Compiler, Operation, Tail
from tests.execution.comparing import Answer, Fault, Judge, Types, without_propagation
from tests.execution.documents import Style, Writer
from tests.execution.ingredients import CODES
from tests.execution.schemas import Built, built
from tests.execution.worlds import World

SCHEMAS: Final = (1, 2, 3, 4)
POOLS: Final = {"Code": CODES}
FAULTS: Final = (0, 0, 0.005, 0.02, 0.1)
ROOTS: Final = (("Query",), ("Query",), ("Mutation",), ("Subscription",), ("Query", "Mutation", "Query"))
# How many operations a property is tried with; raise it for a long search.
EXAMPLES: Final = int(os.environ.get("PENNY_EXAMPLES", "300"))
SEARCH: Final = hypothesis.settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)


@dataclass(frozen=True)
class Round:
    """Values of the variables, and the world that is asked."""

    variables: dict[str, Any]
    seed: int
    fault: float


@dataclass(frozen=True)
class Trial:
    """An operation, compiled once and run in some rounds; printed so that it can be run again."""

    schema: int
    text: str
    operation: str | None
    rounds: list[Round]

    @classmethod
    def drawn(cls, random: Random, schema: int) -> "Trial":
        """Draw a trial of a schema."""
        writer = Writer(built(schema).core, random, POOLS, Style())
        written = writer.document(*random.choice(ROOTS))
        rounds = [
            Round(writer.variables(written, strange=random.choice([0, 0, 0, 0.1])), random.randrange(1000), random.choice(FAULTS))
            for _ in range(3)
        ]
        return cls(schema, written.text, written.operation, rounds)

    @property
    def built(self) -> Built:
        """The schema that the operation is for."""
        return built(self.schema)

    async def difference(self) -> str | None:
        """Run it and say how the answers differ, or return None."""
        document = parse(self.text)
        node = get_operation_ast(document, self.operation)
        assert node is not None
        operation = Compiler(self.built.schema).compile(document, node)
        for one in self.rounds:
            if (difference := await self._difference(document, node, operation, one)) is not None:
                return f"{difference} in {one}"
        return None

    async def _difference(self, document: DocumentNode, node: OperationDefinitionNode, operation: Operation, one: Round) -> str | None:
        core, variables = self.built.core, one.variables
        here, there, elsewhere, asked = [self.built.world(one.seed, one.fault) for _ in range(4)]
        event = self._event(node, elsewhere)
        compiled = Answer.of(await operation.execute(here, variables, root_value=event), here.log)
        reference = Answer.of(await run_reference(core, document, node, there, variables, root=event), there.log)
        judge = await judge_of(core, document, node, elsewhere, variables, root=event)
        difference = judge.difference(compiled, reference)
        if difference is None and not judge.possible and here.calls != there.calls:
            return f"calls: {here.calls - there.calls} and {there.calls - here.calls}"
        if difference is None and node.operation is OperationType.SUBSCRIPTION:
            if (tail := operation.tail(variables)) is not None:
                return await difference_of_tail(tail, asked, event, judge, reference)
            # A null for `@skip` or `@include` leaves the operation to graphql-core.
            return None if None in variables.values() or reference.faults else "there is no tail"
        return difference

    def _event(self, node: OperationDefinitionNode, world: World) -> Any:
        """Make the event that a subscription's operation is run for."""
        if node.operation is not OperationType.SUBSCRIPTION:
            return None
        (root,) = node.selection_set.selections
        assert isinstance(root, FieldNode)
        return world.value(self.built.events[root.name.value], "event")


async def difference_of_tail(tail: Tail, context: Any, event: Any, judge: Judge, reference: Answer) -> str | None:
    """Say how a tail's answers to an event differ: the one for everybody, where there is one, and the one for a context."""
    shared = tail.shared(event)
    if shared is not None and (reference.faults or json.loads(shared) != {"data": json.loads(reference.data)}):
        return f"shared: {shared!r} and {reference}"
    return judge.difference(Answer.of(await tail.execute(context, event)), reference)


async def judge_of(
    core: GraphQLSchema, document: DocumentNode, node: OperationDefinitionNode, context: Any, variables: dict[str, Any], *, root: Any = None
) -> Judge:
    """Make the judge of an operation's answers: it is run once more, for all that can fail to be told."""
    types, told_all = Types(), without_propagation(document, node)
    everything = await run_reference(core, *told_all, context, variables, types=types, root=root)
    return Judge(types, Counter(map(Fault.of, everything.errors or ())), serial=node.operation is OperationType.MUTATION)


async def run_reference(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    context: Any,
    variables: dict[str, Any],
    *,
    types: Types | None = None,
    root: Any = None,
) -> ExecutionResult:
    """Run an operation on graphql-core; `types` are written down if they are given."""
    result: Any = execute(
        schema,
        document,
        root_value=root,
        context_value=context,
        variable_values=variables,
        operation_name=operation.name.value if operation.name else None,
        executor_class=None if types is None else types.watching(),
    )
    answer: ExecutionResult = await result if isawaitable(result) else result
    return answer


def first_difference(trials: int) -> int | None:
    """Run trials until one differs or raises; returns its number."""
    with asyncio.Runner() as runner:
        for number in range(trials):
            # To build a schema takes as long as twenty trials.
            schema = SCHEMAS[number // 60 % len(SCHEMAS)]
            try:
                difference = runner.run(Trial.drawn(Random(number), schema).difference())
            except Exception:  # noqa: BLE001 - a compiler that breaks is noticed
                return number
            if difference is not None:
                return number
    return None
