import tracemalloc
from pathlib import Path

from hca_workers.settings import MEBIBYTE
from tests.eventually import eventually
from tests.integration.sample_app.server import serving


def test_a_worker_of_granian_writes_its_heap_on_request_and_when_it_leaks(tmp_path: Path) -> None:
    heaps = tmp_path / "heaps"
    heaps.mkdir()
    variables = {"HCA_SNAPSHOT_DIR": str(heaps), "HCA_WORKER_MAX_RSS": "150", "SHOP_LEAK_ENABLED": "true"}
    with serving(tmp_path, workers=1, **variables) as server:
        (heaps / "request").touch()
        (asked_for,) = eventually(lambda: list(heaps.glob("*.tracemalloc")))
        answer = server.http.post("/leak?mebibytes=150").json()
        unasked = eventually(lambda: set(heaps.glob("*.tracemalloc")) - {asked_for}).pop()
        assert server.workers() == {answer["worker"]}, "it serves on"
    leak = tracemalloc.Snapshot.load(str(unasked)).statistics("lineno")[0]
    assert Path(leak.traceback[0].filename).name == "rehearsal.py"
    assert leak.size > 150 * MEBIBYTE
    assert str(answer["worker"]) in unasked.name
