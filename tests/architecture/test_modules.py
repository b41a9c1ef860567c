"""Modules say what they are, are named for it, import at their top, and give reasons where they step out of line."""

import ast
import re

from tests.architecture.sources import EVERYTHING, PACKAGES, PRODUCT, Module

NO_NAMES = re.compile(r"(utils?|helpers?|common|managers?|services?|misc|shared|base|v\d+)")
REMINDERS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
NOQA = re.compile(r"#\s*noqa", re.IGNORECASE)
NOQA_WITH_REASON = re.compile(r"# noqa: [A-Z]+\d+(, [A-Z]+\d+)* - \S+")
IGNORE = re.compile(r"#\s*type:\s*ignore")
IGNORE_WITH_REASON = re.compile(r"# type: ignore\[[a-z-]+(, [a-z-]+)*\] # \S+")


def comments(module: Module) -> list[tuple[int, str]]:
    """The lines of a module that hold a comment, without what the line says in quotes before it."""
    return [(number, line) for number, line in enumerate(module.text.splitlines(), 1) if "#" in line]


def without_reason(what: re.Pattern[str], with_reason: re.Pattern[str]) -> list[str]:
    return [
        f"{module.name}:{number}"
        for module in EVERYTHING
        if module.name != "tests/architecture/test_modules.py"
        for number, line in comments(module)
        if what.search(line) and not with_reason.search(line)
    ]


def test_there_is_something_to_look_at() -> None:
    assert {"auth", "chat", "cli", "db", "loaders", "resolvers", "schema", "stack", "web"} <= set(PACKAGES)
    assert len(PRODUCT) > 100


def test_a_module_opens_with_a_sentence_that_says_what_lives_there() -> None:
    openings = {module.name: (ast.get_docstring(module.tree) or "").split("\n")[0] for module in EVERYTHING if module.text}
    assert [name for name, opening in openings.items() if not opening.endswith((".", ":", "!", "?"))] == []


def test_a_package_s_own_file_holds_a_docstring_and_nothing_else() -> None:
    own = [module for module in PRODUCT if module.name.endswith("__init__.py")]
    # `execution` is a library: its own file names what it offers to others.
    assert [module.name for module in own if len(module.tree.body) != 1 and module.name != "execution/__init__.py"] == []


def test_no_module_is_named_for_nothing() -> None:
    parts = {module.name: module.name.removesuffix(".py").split("/") for module in EVERYTHING}
    assert [name for name, words in parts.items() if any(NO_NAMES.fullmatch(word) for word in words)] == []


def test_imports_stand_at_the_top() -> None:
    inside = [
        f"{module.name}:{node.lineno}"
        for module in EVERYTHING
        for function in ast.walk(module.tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inside == []


def test_modules_are_imported_by_name_only_where_late_is_the_point() -> None:
    """Commands are imported when they are called, and a wheel of the embedded stack when it is used."""
    assert {module.name for module in PRODUCT if "import_module" in module.text} <= {"cli/main.py", "cli/dev.py", "inference/embeddings.py"}


def test_nothing_is_left_for_later() -> None:
    assert [module.name for module in EVERYTHING if REMINDERS.search(module.text)] == []


def test_every_exception_from_a_linter_has_a_reason() -> None:
    assert without_reason(NOQA, NOQA_WITH_REASON) == []


def test_every_exception_from_the_type_checker_has_a_reason() -> None:
    assert without_reason(IGNORE, IGNORE_WITH_REASON) == []
