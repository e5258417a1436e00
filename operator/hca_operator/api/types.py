"""Field types that several parts of the object share."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

from hca_operator.api.schema import IntOrString, Rule, without_nulls
from hca_operator.core.durations import DURATION_PATTERN, parse_duration
from hca_operator.core.names import GROUP
from hca_operator.core.quantities import parse_quantity


def _quantity_check(accept: Callable[[Decimal], bool]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return accept(parse_quantity(text))
        except ValueError:
            return False

    return check


def quantity_rule(lowest: str, highest: str, message: str) -> Rule:
    """A quantity within bounds."""
    low, high = parse_quantity(lowest), parse_quantity(highest)
    return Rule(
        cel="isQuantity(string(self)) && "
        f"quantity(string(self)).compareTo(quantity('{lowest}')) >= 0 && "
        f"quantity(string(self)).compareTo(quantity('{highest}')) <= 0",
        message=message,
        check=_quantity_check(lambda value: low <= value <= high),
    )


Cpu = Annotated[
    str,
    IntOrString(max_length=20),
    quantity_rule("1m", "256", "must be a CPU quantity from 1m to 256, such as 250m, 1500m or 2"),
]
"""Cores."""

Memory = Annotated[
    str,
    IntOrString(max_length=20),
    quantity_rule(
        "32Mi",
        "4Ti",
        "must be a memory quantity from 32Mi to 4Ti, such as 512Mi or 2Gi; "
        "'512m' means half a byte and '512' means 512 bytes: did you mean 512Mi?",
    ),
]
"""Bytes."""

VolumeSize = Annotated[
    str,
    IntOrString(max_length=20),
    quantity_rule("1Mi", "4Ti", "must be a size from 1Mi to 4Ti, such as 64Mi or 1Gi"),
]
"""Bytes of a volume."""


Tolerance = Annotated[
    str,
    IntOrString(max_length=20),
    quantity_rule("0", "1", 'must be a share from 0 to 1, such as "0.05" for 5 %'),
]
"""A part of the whole."""


def _duration_rule(lowest: str, highest: str) -> Rule:
    return Rule(
        cel=f"duration(self) >= duration('{lowest}') && duration(self) <= duration('{highest}')",
        message=f"must be a duration from {lowest} to {highest}, such as {lowest} or {highest}",
        check=lambda text: parse_duration(lowest) <= parse_duration(text) <= parse_duration(highest),
    )


_DurationText = Annotated[str, StringConstraints(pattern=DURATION_PATTERN, max_length=18)]
StartupDuration = Annotated[_DurationText, _duration_rule("1s", "1h")]
GraceDuration = Annotated[_DurationText, _duration_rule("5s", "1h")]
ScheduleDuration = Annotated[_DurationText, _duration_rule("1m", "168h")]
OutageDuration = Annotated[_DurationText, _duration_rule("15s", "1h")]
BurstDuration = Annotated[_DurationText, _duration_rule("30s", "1h")]
IntervalDuration = Annotated[_DurationText, _duration_rule("1m", "24h")]
SampleDuration = Annotated[_DurationText, _duration_rule("1s", "5m")]

_PATH_CHARACTERS = "[A-Za-z0-9/_.~%:@!$&'()*+,;=-]*"
HttpPath = Annotated[str, StringConstraints(pattern=rf"^/{_PATH_CHARACTERS}(\?{_PATH_CHARACTERS})?$", max_length=1024)]
UrlPath = Annotated[str, StringConstraints(pattern=rf"^/{_PATH_CHARACTERS}$", max_length=512)]
DnsLabel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
DnsSubdomain = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253),
]
Port = Annotated[int, Field(ge=1, le=65535)]


_LABEL_NAME = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
LABEL_KEY = rf"({_DNS_LABEL}(\.{_DNS_LABEL})*/)?{_LABEL_NAME}"
LabelKey = Annotated[str, StringConstraints(pattern=f"^{LABEL_KEY}$", max_length=317)]
LabelValue = Annotated[str, StringConstraints(pattern=f"^({_LABEL_NAME})?$", max_length=63)]


def _keys_rule() -> Rule:
    def check(entries: dict[str, str]) -> bool:
        return all(re.fullmatch(LABEL_KEY, key) and not key.startswith(f"{GROUP}/") for key in entries)

    return Rule(
        cel=f"self.all(key, key.matches(r'^{LABEL_KEY}$') && !key.startsWith('{GROUP}/'))",
        message=f"keys must be Kubernetes label keys such as team or example.com/team; {GROUP}/ is the operator's own",
        check=check,
    )


Labels = Annotated[
    dict[str, LabelValue],
    Field(max_length=32),
    BeforeValidator(without_nulls),
    _keys_rule(),
]
Annotations = Annotated[
    dict[str, Annotated[str, StringConstraints(max_length=4096)]],
    Field(max_length=32),
    BeforeValidator(without_nulls),
    _keys_rule(),
]
