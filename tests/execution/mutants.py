"""Breaks the compiler, one way at a time, and tells how soon the trials notice: those that never fail would prove nothing.

`python -m tests.execution.mutants` prints a JSON object: for each mutant the number of the trial that noticed it, null where none did.
"""

import importlib
import json
import multiprocessing
import shutil
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[2] / "execution"
TRIALS: Final = 300
CONTROL: Final = "nothing is broken"


@dataclass(frozen=True)
class Mutant:
    """A file of the package and the text in it that is replaced."""

    file: str
    old: str
    new: str

    def made(self, folder: Path) -> None:
        """Copy the package into a folder and break it there."""
        shutil.copytree(PACKAGE, folder / "execution", ignore=shutil.ignore_patterns("__pycache__"))
        path = folder / "execution" / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise LookupError(f"{self.file} has {text.count(self.old)} times: {self.old}")
        path.write_text(text.replace(self.old, self.new))


def _collecting(function: str, value: object) -> str:
    """Import graphql-core's collection of fields with one of its functions replaced, for the planner alone."""
    return (
        "from graphql.execution.collect_fields import FieldDetails, FragmentDetails\n"
        "import importlib.util as _util\n"
        "_spec = _util.find_spec('graphql.execution.collect_fields')\n"
        "_copy = _util.module_from_spec(_spec)\n"
        "_spec.loader.exec_module(_copy)\n"
        f"_copy.{function} = lambda *_, **__: {value}\n"
        "collect_fields, collect_subfields = _copy.collect_fields, _copy.collect_subfields\n"
    )


_COLLECT: Final = "from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields\n"

MUTANTS: Final = {
    CONTROL: Mutant("runs.py", "class Run:", "class Run:"),
    "a null stays where the type forbids it": Mutant(
        "runs.py", "        if nonnull:\n            return self.run.break_(", "        if False:\n            return self.run.break_("
    ),
    "@skip and @include are forgotten": Mutant("planning.py", _COLLECT, _collecting("should_include_node", True)),
    "a fragment is merged whatever its type": Mutant("planning.py", _COLLECT, _collecting("does_fragment_condition_match", True)),
    "the plan for other variables is used again": Mutant(
        "operations.py", "return self, tuple(values.coerced.get(name) for name in self._switches)", "return self, ()"
    ),
    "the index in a list is that of the level": Mutant("frames.py", "index - (ends[holder - 1] if holder else 0)", "index"),
    "the path of picked values is that of the first ones": Mutant(
        "frames.py", "self.outer.path(self.picks[index])", "self.outer.path(index)"
    ),
    "an alias is dropped": Mutant("planning.py", "return Field(key, named,", "return Field(details[0].node.name.value, named,"),
    "the second of two equal fields is lost": Mutant("planning.py", "self._below(one, details) for", "self._below(one, details[:1]) for"),
    "__typename comes last": Mutant("plans.py", "keys.insert(place, alias)", "keys.append(alias)"),
    "mutations run side by side": Mutant(
        "operations.py", "running = serially if self._kind is OperationType.MUTATION else select", "running = select"
    ),
    "a mutation goes on after the answer is lost": Mutant(
        "running.py", "        if type(outputs[0]) is Broken:\n            return outputs\n", ""
    ),
    "an item's exception is swallowed": Mutant(
        "completing.py", "        return at.fail(error, index, nonnull=leaf.nonnull)\n\n\ndef _lists", "        return None\n\n\ndef _lists"
    ),
    "an exception that a batch gives as a value is taken for one": Mutant(
        "completing.py", "    if isinstance(value, Exception):\n        raise value\n", ""
    ),
    "a batch that fails gives nulls": Mutant(
        "fetching.py",
        "it is the field's error, for each parent\n        return [error] * len(sources)",
        "it is the field's error, for each parent\n        return [None] * len(sources)",
    ),
    "the guard is not called": Mutant("fetching.py", "        batch.guard(run.context)\n", "        pass\n"),
    "the columns that a batch needs are not told": Mutant(
        "planning.py", "return None if declaration is None else declaration.needs", "return None if declaration is None else frozenset()"
    ),
    "a plain resolver's parent has only what others read": Mutant(
        "planning.py",
        "return None if declaration is None else declaration.needs",
        "return frozenset() if declaration is None else declaration.needs",
    ),
    "arguments are kept for other variables": Mutant(
        "inputs.py", "arguments[name] = value", "arguments[name] = self._fixed.setdefault(name, value)"
    ),
    "a variable's default is ignored": Mutant(
        "inputs.py",
        "value = given.get(name, Undefined)\n            if value.__class__",
        "value = given.get(name)\n            if value.__class__",
    ),
    "a variable that was left out is null": Mutant(
        "inputs.py", "if value is Undefined or (value is None and is_required):", "if value is None and is_required:"
    ),
    "an enum is spelled as Python does": Mutant(
        "writing.py", "found[member.value] = named.coerce_output_value(member)", "found[member.value] = member.name"
    ),
    "a null is converted": Mutant("writing.py", "if self._convert is None or value is None else", "if self._convert is None else"),
    "an integer may be of any size": Mutant("writing.py", "is int and -2147483648 <= {w} <= 2147483647", "is int"),
    "what was converted once is not looked at again": Mutant(
        "writing.py", "({w} := k{place}({v})).__class__ is str else", "({w} := k{place}({v})) else"
    ),
    "an error names only the first of merged fields": Mutant(
        "runs.py", "located_error(error, self.field.nodes, path)", "located_error(error, self.field.nodes[:1], path)"
    ),
    "what holds a broken value says nothing": Mutant("runs.py", "        self.run.record(broken.error, self.frame.path(index))\n", ""),
    "an error is told twice": Mutant("runs.py", "self._errors.append((error, path))", "self._errors.extend([(error, path)] * 2)"),
    "a source may be of any type": Mutant("kinds.py", "python in source_classes(owner)", "True"),
    "an event's answer is everybody's": Mutant("operations.py", "if kind is None or not kind.selection.is_quiet:", "if kind is None:"),
}


def noticed(name: str, trials: int = TRIALS) -> int | str | None:
    """Run trials with a broken compiler; returns the number of the first that differs, or why it cannot be broken this way.

    For a process of its own.
    """
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        try:
            MUTANTS[name].made(Path(folder))
        except LookupError as changed:
            return str(changed)
        sys.path.insert(0, folder)
        # Only now: the broken package is found first.
        found: int | None = importlib.import_module("tests.execution.trials").first_difference(trials)
        return found


def main() -> None:
    """Try all mutants, each in a child of this process, which has loaded what they share."""
    for shared in ("strawberry", "hypothesis", "orjson", "strawberry.extensions"):
        importlib.import_module(shared)
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        found = dict(zip(MUTANTS, pool.map(noticed, MUTANTS, chunksize=1), strict=True))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
