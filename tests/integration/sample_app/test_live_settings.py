from pathlib import Path

from tests.eventually import eventually
from tests.integration.sample_app.server import Server, serving
from tests.unit.sample_app.configuration.test_live_settings import digest


def agreed(server: Server, file: Path, *, workers: int) -> bool:
    """Whether every worker runs with the content of the file, from a scrape of any of them."""
    lines = [line for line in server.http.get("/metrics").text.splitlines() if line.startswith("config_digest{")]
    found = [float(line.rsplit(" ", 1)[1]) for line in lines]
    return found == [int(digest(file), 16)] * workers


def test_all_workers_take_a_change_over_without_a_restart_and_agree(tmp_path: Path) -> None:
    mounted, file = tmp_path / "first", tmp_path / "live" / "shop.toml"
    mounted.mkdir()
    (mounted / "shop.toml").write_text('log_level = "info"')
    file.parent.symlink_to(mounted)
    with serving(tmp_path, workers=2, SHOP_CONFIG_FILE=str(file)) as server:
        eventually(lambda: agreed(server, file, workers=2))
        workers = server.answering_workers()
        replace_as_the_kubelet_does(file.parent, 'log_level = "error"\nmax_in_flight = 64')
        eventually(lambda: agreed(server, file, workers=2))
        assert server.http.get("/products").status_code == 200

        good = digest(file)
        replace_as_the_kubelet_does(file.parent, "max_in_flight = 'many'")
        eventually(lambda: server.log.count("changes nothing: max_in_flight must be a whole number") == 2)
        assert {server.http.get("/health").json()["config"] for _ in range(8)} == {good}
        assert server.answering_workers() == workers
        assert '"path": "/products"' not in server.log, "the level of the file holds"


def replace_as_the_kubelet_does(directory: Path, content: str) -> None:
    """By another folder, and a link that leads to it from one moment to the next."""
    fresh = directory.with_name(f"content-{len(content)}")
    fresh.mkdir()
    (fresh / "shop.toml").write_text(content)
    link = directory.with_name("next")
    link.symlink_to(fresh)
    link.replace(directory)
