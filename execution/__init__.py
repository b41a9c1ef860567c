"""Compiles GraphQL operations of a Strawberry schema and runs them breadth-first; graphql-core stays the judge of what is right.

It knows Strawberry and graphql-core and nothing of PENNY: see `README.md` beside this file for what a field may declare.
"""

from execution.compiling import Compiler
from execution.declarations import Batch, Column
from execution.operations import Operation, Tail
from execution.planning import Uncompilable
from execution.reference import batched, read, read_nested

__all__ = ["Batch", "Column", "Compiler", "Operation", "Tail", "Uncompilable", "batched", "read", "read_nested"]
