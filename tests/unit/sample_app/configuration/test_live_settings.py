import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from shop.configuration.live_settings import Limits, LiveSettings
from shop.configuration.settings import Settings
from shop.observation.metrics import Metrics
from tests.unit.sample_app.conftest import Connect
from tests.unit.sample_app.overload.test_shedding import in_progress

ENVIRONMENT = Limits("info", 512, 500)


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """The level is the process's, and so outlives a worker that ends within it."""
    log = logging.getLogger("shop")
    before = log.level
    yield
    log.setLevel(before)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.toml"


def live_settings(file: Path | None) -> LiveSettings:
    return LiveSettings(Settings(config_file=file), Metrics(None), worker=1)


def read_again(live: LiveSettings, content: bytes | OSError) -> None:
    live._apply(Path("/etc/shop/shop.toml"), content)


def test_without_a_file_the_environment_decides() -> None:
    live = live_settings(None)
    assert live.current == ENVIRONMENT
    assert live.digest is None


def test_what_the_file_does_not_say_is_the_environments(file: Path) -> None:
    file.write_text("max_in_flight = 9")
    assert live_settings(file).current == Limits("info", 9, 500)


def test_a_line_that_is_taken_out_gives_the_environments_value_back(file: Path) -> None:
    file.write_text('log_level = "debug"\nmax_lag_ms = 9')
    live = live_settings(file)
    assert live.current == Limits("debug", 512, 9)
    assert logging.getLogger("shop").level == logging.DEBUG
    read_again(live, b"max_lag_ms = 9")
    assert live.current == Limits("info", 512, 9)
    assert logging.getLogger("shop").level == logging.INFO


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"max_in_flight = 0", "max_in_flight must be a whole number from 1 to 100000, not '0'"),
        (b"max_in_flight = true", "max_in_flight must be a whole number from 1 to 100000, not 'True'"),
        (b"max_lag_ms = 1.5", "max_lag_ms must be a whole number from 1 to 60000, not '1.5'"),
        (b'log_level = "loud"', "log_level must be debug, info, warning or error, not 'loud'"),
        (b"max_in_flght = 5", "max_in_flght is not one of log_level, max_in_flight, max_lag_ms"),
        (b"max_in_flight = 5\nsecret_key = 'x'", "secret_key is not one of"),
        (b"max_in_flight: 5", "it is not TOML: "),
        (b"\xff", "it is not TOML: "),
        (b"#" * 70_000, "it has more than 65536 bytes"),
        (FileNotFoundError(2, "No such file or directory"), "it cannot be read (No such file or directory)"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str | bytes) else type(value).__name__,
)
def test_wrong_content_changes_nothing_and_is_logged_once(
    content: bytes | OSError, complaint: str, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text("max_in_flight = 9")
    live = live_settings(file)
    before = live.digest
    for _ in range(3):
        read_again(live, content)
    assert live.current == Limits("info", 9, 500)
    assert live.digest == before
    (message,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert message.startswith(f"/etc/shop/shop.toml changes nothing: {complaint}")


def test_a_worker_that_starts_with_a_wrong_file_serves_with_the_environments_settings(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live = live_settings(file)
    assert live.current == ENVIRONMENT
    assert live.digest is None
    assert f"{file} changes nothing: it cannot be read (No such file or directory)" in caplog.text
    read_again(live, b"max_in_flight = 9")
    assert live.current.max_in_flight == 9


@pytest.fixture
def one_at_a_time(file: Path) -> Path:
    file.write_text("max_in_flight = 1")
    return file


async def test_a_limit_of_the_file_holds(connect: Connect, one_at_a_time: Path) -> None:
    async with connect(config_file=one_at_a_time) as client:
        async with in_progress(client, 1):
            refused = await client.get("/products")
        health = (await client.get("/health")).json()
    assert refused.status_code == 503
    assert health["config"] == digest(one_at_a_time)


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
