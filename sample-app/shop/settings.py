"""Configuration from the environment, typed, checked once, before the first request.

It avoids the pod that starts, turns ready and fails an hour later on the one path that reads
a misspelt value. Every mistake is reported by the variable's name with what is allowed.

Kubernetes puts `SHOP_PORT` and `SHOP_SERVICE_*` into the environment of every pod beside a
Service named `shop`: no setting may take such a name, and unknown SHOP_* variables are no error.
The server's own settings are Granian's GRANIAN_* variables and are not repeated here.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

# Good for a laptop alone: whoever reads this file can sign carts with it.
DEVELOPMENT_KEY = "for-development-only-set-SHOP_SECRET_KEY"


class SettingsError(ValueError):
    """An environment variable that must be changed before the app can start."""


@dataclass(frozen=True)
class Settings:
    """What differs between one installation and the next."""

    secret_key: str = DEVELOPMENT_KEY
    trusted_proxies: tuple[str, ...] = ()
    cache_entries: int = 1024
    cache_seconds: int = 30
    leak_enabled: bool = False


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read the SHOP_* variables; raises `SettingsError` for the first that is wrong."""
    defaults = Settings()

    def read(name: str, parse: Callable[[str], T], default: T) -> T:
        try:
            return parse(environment[name]) if name in environment else default
        except ValueError as error:
            raise SettingsError(f"{name} must be {error}.") from None

    return Settings(
        secret_key=read("SHOP_SECRET_KEY", _key, defaults.secret_key),
        trusted_proxies=read("SHOP_TRUSTED_PROXIES", _networks, defaults.trusted_proxies),
        cache_entries=read("SHOP_CACHE_ENTRIES", _whole_number(1, 1_000_000), defaults.cache_entries),
        cache_seconds=read("SHOP_CACHE_SECONDS", _whole_number(1, 86_400), defaults.cache_seconds),
        leak_enabled=read("SHOP_LEAK_ENABLED", _flag, defaults.leak_enabled),
    )


# A parser raises ValueError with what the value must be; the caller knows the variable's name.
def _key(text: str) -> str:
    if len(text) < 16:
        raise ValueError("at least 16 characters, the same in every pod")
    return text


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"true or false, not {text!r}")
    return text == "true"


def _whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not minimum <= int(text) <= maximum:
            raise ValueError(f"a whole number from {minimum} to {maximum}, not {text!r}")
        return int(text)

    return parse


def _networks(text: str) -> tuple[str, ...]:
    networks = tuple(part.strip() for part in text.split(",") if part.strip())
    if networks == ("*",):
        return networks
    try:
        return tuple(str(ipaddress.ip_network(network)) for network in networks)
    except ValueError:
        raise ValueError(f"* or addresses and networks such as 10.0.0.0/8,fd00::/8, not {text!r}") from None
