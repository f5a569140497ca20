"""What the fields of a dataclass mean: the strings that stand below them in its source."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache


@cache
def field_docs(config_class: type) -> dict[str, str]:
    """Field → its docstring, in one line; fields without one are left out. Raises OSError where there is no source."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(config_class))).body
    assert isinstance(definition, ast.ClassDef)
    docs = {}
    for statement, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and _is_string(below):
            docs[statement.target.id] = " ".join(ast.literal_eval(below.value).split())  # type: ignore[attr-defined]
    return docs


def _is_string(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
