"""Times that come again and again, as users write them."""

import re
from typing import Annotated

from pydantic import StringConstraints

from hca_operator.api.schema import Rule

_STEP = "(/[1-9][0-9]?)?"


def _field(value: str) -> str:
    """A field of a cron expression whose numbers match `value`."""
    term = rf"(\*|{value}(-{value})?){_STEP}"
    return f"{term}(,{term})*"


_CRON = " ".join(
    map(
        _field,
        (
            "[1-5]?[0-9]",  # minute
            "(1?[0-9]|2[0-3])",  # hour
            "([1-9]|[12][0-9]|3[01])",  # day of the month
            "([1-9]|1[0-2])",  # month
            "[0-7]",  # day of the week
        ),
    )
)


def _is_cron(text: str) -> bool:
    """Whether a text is a cron expression whose ranges all go upwards."""
    ranges = re.findall("([0-9]+)-([0-9]+)", text)
    return re.fullmatch(_CRON, text) is not None and all(int(first) <= int(last) for first, last in ranges)


Cron = Annotated[
    str,
    StringConstraints(max_length=100),
    Rule(
        cel=f"self.matches(r'^{_CRON}$') && "
        "self.findAll('[0-9]+-[0-9]+').all(ends, int(ends.split('-')[0]) <= int(ends.split('-')[1]))",
        message="must be five fields of numbers, minute hour day-of-month month day-of-week, with '*', lists, ranges "
        "and steps, such as '0 3 * * *' or '*/30 9-17 * * 1-5'",
        check=_is_cron,
    ),
]
TimeZone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$", max_length=64)]
