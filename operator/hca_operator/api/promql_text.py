"""Bounds of the text of a query, checked before a parser reads it: pure.

The parser's time and memory grow with about the cube of what is nested, and it cannot represent every number. So what
costs is counted first, by the tokens alone: levels of brackets, operators, and what regular expressions come to.
"""

import re
from collections.abc import Sequence

MAX_LENGTH = 1024
"""Characters of a query, as the schema has it. Queries that were stored before it are judged here."""
MAX_LEVELS = 10
"""Brackets within brackets."""
MAX_OPERATORS = 16
MAX_EXPRESSIONS, MAX_EXPRESSION_CHARACTERS, MAX_CLASSES = 8, 256, 8
"""Regular expressions, the characters of all together, and classes such as \\w in them: each is a table of Unicode."""

_DURATION = r"([0-9]{1,6}(ms|[smhdwy]))+|[0-9]{1,6}(\.[0-9]{1,3})?"
_OFFSET = re.compile(_DURATION)
_RANGE = re.compile(rf"\s*({_DURATION})\s*(:\s*({_DURATION})?\s*)?")
_REPETITION = re.compile(r"\{[0-9]")
_CLASS = re.compile(r"\\[A-Za-z]")
_TOKENS = re.compile(
    r"""
    (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<comment>\#[^\n]*)
    |\[(?P<range>[^\]]*)\]?
    |(?P<open>[({])
    |(?P<close>[)}])
    |(?P<number>[0-9.][0-9A-Za-z_.]*)
    |(?P<word>[A-Za-z_:][A-Za-z0-9_:]*)
    |(?P<operator>=~|!~|==|!=|<=|>=|[-+*/%^<>=])
    """,
    re.VERBOSE | re.DOTALL,
)
_WORD_OPERATORS = frozenset({"and", "or", "unless", "atan2"})
_MATCHES = frozenset({"=~", "!~"})


class RefusedQuery(ValueError):
    """A query cannot be asked; the sentence says why and what would be right."""


def check_text(query: str) -> None:
    """Raise RefusedQuery for a text that costs too much to parse, or has a duration that is out of range."""
    if len(query) > MAX_LENGTH:
        raise RefusedQuery(f"must have at most {MAX_LENGTH} characters")
    opened: list[str] = []
    expressions: list[str] = []
    operators, before = 0, ""
    for found in _TOKENS.finditer(query):
        kind, token = str(found.lastgroup), found[0].lower()
        if kind == "open":
            opened.append(token)
        elif kind == "close" and opened:
            opened.pop()
        elif kind == "text" and before in _MATCHES:
            expressions.append(found[0])
        elif kind == "range" and not _RANGE.fullmatch(found["range"]):
            raise RefusedQuery("must have durations in [], such as [2m] or [10m:30s]")
        elif before == "offset" and token not in {"-", "+"} and not _OFFSET.fullmatch(token):
            raise RefusedQuery("must have a duration after offset, such as offset 5m")
        # Within braces they compare labels.
        operators += (kind == "operator" or token in _WORD_OPERATORS) and "{" not in opened
        if len(opened) > MAX_LEVELS:
            raise RefusedQuery(f"must have at most {MAX_LEVELS} brackets within each other: use a recording rule")
        before = before if before == "offset" and token in {"-", "+"} else token
    if operators > MAX_OPERATORS:
        raise RefusedQuery(f"must have at most {MAX_OPERATORS} operators: use a recording rule")
    _check_expressions(expressions)


def _check_expressions(expressions: Sequence[str]) -> None:
    together = "".join(expressions)
    if _REPETITION.search(together):
        raise RefusedQuery("must not have counted repetitions such as {3} in regular expressions: use * or +")
    if len(expressions) > MAX_EXPRESSIONS or len(together) > MAX_EXPRESSION_CHARACTERS:
        raise RefusedQuery(
            f"must have at most {MAX_EXPRESSIONS} regular expressions of {MAX_EXPRESSION_CHARACTERS} characters "
            "together: compare with = and !="
        )
    if len(_CLASS.findall(together)) > MAX_CLASSES:
        raise RefusedQuery(f"must have at most {MAX_CLASSES} classes such as \\w in regular expressions: use [a-z0-9]")
