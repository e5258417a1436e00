"""Times that come again and again, as users write them."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import StringConstraints

from hca_operator.api.schema import Rule
from hca_operator.core.cron import NICKNAMES

_STEP = "(/[1-9][0-9]?)?"


def _field(number: str, names: Sequence[str] = ()) -> str:
    """A field of a cron expression with such numbers, or with names whose ranges go upwards."""
    values = [rf"\*|{number}(-{number})?", *(_named(names[index:]) for index in range(len(names)))]
    term = f"({'|'.join(values)}){_STEP}"
    return f"{term}(,{term})*"


def _named(names: Sequence[str]) -> str:
    first, *later = names
    return f"{first}(-({'|'.join(later)}))?" if later else first


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_FIELDS = (
    _field("[0-5]?[0-9]"),  # minute
    _field("([01]?[0-9]|2[0-3])"),  # hour
    _field("(0?[1-9]|[12][0-9]|3[01])"),  # day of the month
    _field("(0?[1-9]|1[0-2])", _MONTHS),
    _field("0?[0-7]", _DAYS),
)
_CRON = f"(?i)^({' +'.join(_FIELDS)}|{'|'.join(NICKNAMES)})$"


def _is_cron(text: str) -> bool:
    """Whether a text is a cron expression whose ranges all go upwards."""
    ranges = re.findall("([0-9]+)-([0-9]+)", text)
    return re.fullmatch(_CRON, text) is not None and all(int(first) <= int(last) for first, last in ranges)


Cron = Annotated[
    str,
    StringConstraints(max_length=100),
    Rule(
        cel=f"self.matches(r'{_CRON}') && "
        "self.findAll('[0-9]+-[0-9]+').all(ends, int(ends.split('-')[0]) <= int(ends.split('-')[1]))",
        message="must be five fields, minute hour day-of-month month day-of-week, of numbers or names with '*', lists, "
        "ranges that go upwards and steps, such as '0 3 * * *' or '*/30 9-17 * * MON-FRI', or one of @hourly, @daily, "
        "@weekly, @monthly and @yearly",
        check=_is_cron,
    ),
]
TimeZone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$", max_length=64)]
