"""Texts of environment variables as typed values.

Each function raises ValueError with what the value must be; the caller knows the variable's name.
What may hold a password is never part of the error.
"""

import ipaddress
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit


def key(text: str) -> str:
    """Return a secret that is long enough."""
    if len(text) < 16:
        raise ValueError("at least 16 characters, the same in every pod")
    return text


def flag(text: str) -> bool:
    """Return a yes or no."""
    if text not in ("true", "false"):
        raise ValueError(f"true or false, not {text!r}")
    return text == "true"


def one_of(*allowed: str) -> Callable[[str], str]:
    """Return what reads one of these words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{', '.join(allowed[:-1])} or {allowed[-1]}, not {text!r}")
        return text

    return parse


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return what reads a number within bounds."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not minimum <= int(text) <= maximum:
            raise ValueError(f"a whole number from {minimum} to {maximum}, not {text!r}")
        return int(text)

    return parse


def url(*schemes: str) -> Callable[[str], str]:
    """Return what reads a URL of one of these schemes."""

    def parse(text: str) -> str:
        try:
            parts = urlsplit(text)
            valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid:
            raise ValueError(f"a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)} and a host")
        return text

    return parse


def absolute_path(text: str) -> Path:
    """Return a path that does not depend on where the process was started."""
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f"a path from the root on, such as /etc/shop/shop.toml, not {text!r}")
    return path


def urls(*schemes: str) -> Callable[[str], tuple[str, ...]]:
    """Return what reads URLs with commas between them."""
    parse = url(*schemes)
    return lambda text: tuple(parse(part.strip()) for part in text.split(",") if part.strip())


def networks(text: str) -> tuple[str, ...]:
    """Return addresses and networks in the one way to write each, or `*` alone."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if found == ("*",):
        return found
    try:
        return tuple(str(ipaddress.ip_network(network)) for network in found)
    except ValueError:
        raise ValueError(f"* or addresses and networks such as 10.0.0.0/8,fd00::/8, not {text!r}") from None
