import pytest

from shop.settings import Settings, SettingsError, settings_from


def test_nothing_set_is_the_defaults() -> None:
    assert settings_from({}) == Settings()


def test_every_variable_is_read() -> None:
    assert settings_from(
        {
            "SHOP_SECRET_KEY": "0123456789abcdef",
            "SHOP_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1,fd00::/8",
            "SHOP_CACHE_ENTRIES": "5",
            "SHOP_CACHE_SECONDS": "6",
            "SHOP_LEAK_ENABLED": "true",
        }
    ) == Settings(
        secret_key="0123456789abcdef",
        trusted_proxies=("10.0.0.0/8", "192.0.2.1/32", "fd00::/8"),
        cache_entries=5,
        cache_seconds=6,
        leak_enabled=True,
    )


def test_all_proxies_can_be_trusted() -> None:
    assert settings_from({"SHOP_TRUSTED_PROXIES": "*"}).trusted_proxies == ("*",)


def test_what_kubernetes_sets_for_a_service_named_shop_is_not_read() -> None:
    kubernetes = {"SHOP_PORT": "tcp://10.96.0.9:80", "SHOP_SERVICE_HOST": "10.96.0.9", "SHOP_SERVICE_PORT": "80"}

    assert settings_from(kubernetes) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("SHOP_SECRET_KEY", "short", "at least 16 characters"),
        ("SHOP_TRUSTED_PROXIES", "envoy", "* or addresses and networks"),
        ("SHOP_TRUSTED_PROXIES", "10.0.0.1/8", "* or addresses and networks"),
        ("SHOP_TRUSTED_PROXIES", "*,10.0.0.0/8", "* or addresses and networks"),
        ("SHOP_CACHE_ENTRIES", "0", "a whole number from 1 to 1000000, not '0'"),
        ("SHOP_CACHE_SECONDS", "1.5", "a whole number from 1 to 86400, not '1.5'"),
        ("SHOP_CACHE_SECONDS", "", "a whole number from 1 to 86400, not ''"),
        ("SHOP_LEAK_ENABLED", "yes", "true or false, not 'yes'"),
    ],
)
def test_a_wrong_value_is_reported_by_name_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as error:
        settings_from({name: value})

    assert str(error.value).startswith(f"{name} must be ")
    assert allowed in str(error.value)


def test_the_secret_is_not_in_the_error() -> None:
    with pytest.raises(SettingsError) as error:
        settings_from({"SHOP_SECRET_KEY": "pssst"})

    assert "pssst" not in str(error.value)
