from pathlib import Path

import pytest

from shop.configuration.settings import Settings, SettingsError, settings_from


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
            "SHOP_REHEARSAL_ENABLED": "true",
            "GRANIAN_WORKERS": "4",
            "PROMETHEUS_MULTIPROC_DIR": "/tmp/shop-metrics",
            "SHOP_DATABASE_URL": "postgresql://shop:pssst@db/shop",
            "SHOP_DATABASE_CONNECTIONS": "500",
            "SHOP_MAX_PODS": "20",
            "SHOP_SLOW_QUERY_MS": "7",
            "SHOP_REDIS_URL": "rediss://cache:6380/1",
            "SHOP_SUPPLIER_URLS": "http://a, https://b:8443/shop",
            "SHOP_CPU_PROCESSES": "2",
            "SHOP_MAX_IN_FLIGHT": "100",
            "SHOP_MAX_LAG_MS": "250",
            "SHOP_CONFIG_FILE": "/etc/shop/shop.toml",
            "SHOP_WEDGED_SECONDS": "60",
            "SHOP_ERROR_BUDGET": "3",
            "SHOP_UPLOAD_MEBIBYTES": "9",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        }
    ) == Settings(
        secret_key="0123456789abcdef",
        trusted_proxies=("10.0.0.0/8", "192.0.2.1/32", "fd00::/8"),
        cache_entries=5,
        cache_seconds=6,
        leak_enabled=True,
        rehearsal_enabled=True,
        workers=4,
        shared_directory=Path("/tmp/shop-metrics"),
        database_url="postgresql://shop:pssst@db/shop",
        database_connections=500,
        max_pods=20,
        slow_query_milliseconds=7,
        redis_url="rediss://cache:6380/1",
        supplier_urls=("http://a", "https://b:8443/shop"),
        cpu_processes=2,
        max_in_flight=100,
        max_lag_milliseconds=250,
        config_file=Path("/etc/shop/shop.toml"),
        wedged_seconds=60,
        error_budget=3,
        upload_mebibytes=9,
        tracing=True,
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
        ("GRANIAN_WORKERS", "auto", "a whole number from 1 to 1024, not 'auto'"),
        ("SHOP_DATABASE_URL", "mysql://db/shop", "a URL that begins with postgresql:// and a host"),
        ("SHOP_DATABASE_URL", "postgresql:///shop", "a URL that begins with postgresql:// and a host"),
        ("SHOP_REDIS_URL", "cache:6379", "a URL that begins with redis:// or rediss:// and a host"),
        ("SHOP_SUPPLIER_URLS", "http://a,b", "a URL that begins with http:// or https:// and a host"),
        ("SHOP_CONFIG_FILE", "shop.toml", "a path from the root on, such as /etc/shop/shop.toml, not 'shop.toml'"),
        ("SHOP_ERROR_BUDGET", "0", "a whole number from 1 to 1000, not '0'"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "a URL that begins with http:// or https:// and a host"),
    ],
)
def test_a_wrong_value_is_reported_by_name_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as error:
        settings_from({name: value})

    assert str(error.value).startswith(f"{name} must be ")
    assert allowed in str(error.value)


@pytest.mark.parametrize("name", ["SHOP_SECRET_KEY", "SHOP_DATABASE_URL", "SHOP_REDIS_URL", "SHOP_SUPPLIER_URLS"])
def test_a_secret_is_not_in_the_error(name: str) -> None:
    with pytest.raises(SettingsError) as error:
        settings_from({name: "pssst"})

    assert "pssst" not in str(error.value)


@pytest.mark.parametrize("connections", [1, 20, 97, 500, 5000])
@pytest.mark.parametrize("pods", [1, 3, 10, 50])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_all_workers_of_all_pods_stay_within_the_databases_limit(connections: int, pods: int, workers: int) -> None:
    environment = {
        "SHOP_DATABASE_URL": "postgresql://db/shop",
        "SHOP_DATABASE_CONNECTIONS": str(connections),
        "SHOP_MAX_PODS": str(pods),
        "GRANIAN_WORKERS": str(workers),
    }
    most = pods * (workers + 1)  # one worker of a pod may be starting while its predecessor ends
    if most > connections:
        with pytest.raises(SettingsError, match=f"^SHOP_DATABASE_CONNECTIONS must be at least {most}, "):
            settings_from(environment)
    else:
        assert 1 <= settings_from(environment).pool_size * most <= connections


def test_without_postgresql_the_limit_of_the_server_does_not_matter() -> None:
    assert settings_from({"SHOP_MAX_PODS": "1000"}).max_pods == 1000
