"""Kubernetes quantities (`250m`, `512Mi`, `1e3`) as exact numbers.

Grammar and canonical form: k8s.io/apimachinery/pkg/api/resource/quantity.go.
"""

import re
from decimal import ROUND_CEILING, ROUND_UP, Decimal

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_SUFFIXES = {
    **{suffix: Decimal(10) ** power for suffix, power in _DECIMAL.items()},
    **{suffix: Decimal(1024) ** power for suffix, power in _BINARY.items()},
}
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?:(?P<suffix>[numkMGTPE]|[KMGTPE]i)|[eE](?P<exponent>[+-]?0*\d{1,3}))?",
    re.ASCII,
)

_NANO = Decimal("1e-9")

MEBIBYTE = 1024**2


def parse_quantity(text: str) -> Decimal:
    """Value in base units: cores for CPU, bytes for memory. Raises ValueError for anything but a quantity.

    What is finer than a billionth is rounded up, as Kubernetes does.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity such as 250m or 512Mi")
    number = Decimal(match["number"])
    try:
        factor = Decimal(10) ** int(match["exponent"]) if match["exponent"] else _SUFFIXES[match["suffix"] or ""]
        value = number * factor
        return value.quantize(_NANO, ROUND_UP) if int(value.as_tuple().exponent) < -9 else value
    except ArithmeticError:
        raise ValueError(f"a quantity of {len(text)} characters is too long") from None


def decimal_text(value: Decimal) -> str:
    """Canonical form of CPU and of metrics: `2`, `1500m`. no finer step than a thousandth, rounded up."""
    thousandths = int((value * 1000).to_integral_value(ROUND_CEILING))
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def memory_text(size: Decimal) -> str:
    """Canonical form of a memory quantity in the largest binary unit that divides it: `1Gi`, `512Mi`, `1000`."""
    count = int(size.to_integral_value(ROUND_CEILING))
    for suffix in ("Ti", "Gi", "Mi", "Ki"):
        if count and count % int(_SUFFIXES[suffix]) == 0:
            return f"{count // int(_SUFFIXES[suffix])}{suffix}"
    return str(count)
