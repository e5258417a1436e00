"""Parsers of environment variables: from text to a typed value.

Each parser raises ValueError with the values that are allowed; the caller adds the name of the variable. Text that may
hold a password is never part of the message.
"""

import ipaddress
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit


def key(text: str) -> str:
    """Return a secret of at least 16 characters."""
    if len(text) < 16:
        raise ValueError("at least 16 characters, the same in every pod")
    return text


def flag(text: str) -> bool:
    """Return the boolean of `true` or `false`."""
    if text not in ("true", "false"):
        raise ValueError(f"true or false, not {text!r}")
    return text == "true"


def one_of(*allowed: str) -> Callable[[str], str]:
    """Return a parser that accepts these words only."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{', '.join(allowed[:-1])} or {allowed[-1]}, not {text!r}")
        return text

    return parse


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return a parser of whole numbers within bounds, both included."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not minimum <= int(text) <= maximum:
            raise ValueError(f"a whole number from {minimum} to {maximum}, not {text!r}")
        return int(text)

    return parse


def url(*schemes: str) -> Callable[[str], str]:
    """Return a parser of URLs with one of these schemes and a host."""

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
    """Return a path that does not depend on the current directory."""
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f"a path from the root on, such as /etc/shop/shop.toml, not {text!r}")
    return path


def urls(*schemes: str) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of URLs that are separated by commas."""
    parse = url(*schemes)
    return lambda text: tuple(parse(part.strip()) for part in text.split(",") if part.strip())


def networks(text: str) -> tuple[str, ...]:
    """Return addresses and networks in their canonical form, or `*` alone."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if found == ("*",):
        return found
    try:
        return tuple(str(ipaddress.ip_network(network)) for network in found)
    except ValueError:
        raise ValueError(f"* or addresses and networks such as 10.0.0.0/8,fd00::/8, not {text!r}") from None
