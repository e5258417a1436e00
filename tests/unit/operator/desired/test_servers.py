"""What of the object reaches each application server, and by which variable."""

import shlex
from typing import Any, get_args

import pytest

from hca_operator.api.environment import ALWAYS_RESERVED_ENV
from hca_operator.api.servers import OPTIONS_ENV, RESERVED_ENV, ApplicationServer
from hca_operator.desired.servers import environment
from hca_operator.desired.sizing import size
from tests.unit.operator.objects import resources, spec

SERVERS = get_args(ApplicationServer)
OTHERS = [server for server in SERVERS if server != "Granian"]


def variables(**fields: Any) -> dict[str, str]:
    """The variables with a value, which are unique by name."""
    wanted = spec(**fields)
    listed = environment(wanted, size(wanted))
    names = [variable["name"] for variable in listed]
    assert len(set(names)) == len(names)
    return {variable["name"]: variable["value"] for variable in listed if "value" in variable}


def run_by(server: str, **fields: Any) -> dict[str, str]:
    """The variables with this server, two CPUs and 560 MiB: a budget of 256 for each worker."""
    return variables(workers={"server": server}, **resources(2, "560Mi"), **fields)


@pytest.mark.parametrize("server", OTHERS)
def test_port_workers_memory_and_times_reach_every_server_by_the_same_names(server: str) -> None:
    reported = run_by(
        server,
        port=9000,
        memoryRestart={"sampleInterval": "5s", "samples": 2},
        availability={"terminationGracePeriod": "30s"},
        health={"startupTimeout": "90s"},
    )
    assert {name: reported[name] for name in reported if name in RESERVED_ENV["Generic"]} == {
        "PORT": "9000",
        "WEB_CONCURRENCY": "2",
        "HCA_WORKERS": "2",
        "HCA_WORKER_KILL_TIMEOUT": "8",
        "HCA_WORKER_BOOT_TIMEOUT": "90",
        "HCA_KEEP_ALIVE": "100",
        "HCA_WORKER_MAX_RSS": "204",
        "HCA_RSS_SAMPLE_INTERVAL": "5",
        "HCA_RSS_SAMPLES": "2",
    }


@pytest.mark.parametrize("server", OTHERS)
def test_no_worker_is_replaced_on_memory_where_that_is_switched_off(server: str) -> None:
    assert not {name for name in run_by(server, memoryRestart={"mode": "Disabled"}) if "RSS" in name}


def test_gunicorn_gets_its_settings_as_options_before_those_of_the_user() -> None:
    reported = run_by("Gunicorn", port=9000, env=[{"name": "GUNICORN_CMD_ARGS", "value": "--threads 4 --keep-alive=5"}])
    assert shlex.split(reported["GUNICORN_CMD_ARGS"]) == [
        "--bind=0.0.0.0:9000",
        "--workers=2",
        "--graceful-timeout=18",
        "--keep-alive=100",
        "--worker-tmp-dir=/dev/shm",
        "--threads",
        "4",
        "--keep-alive=5",
    ]


def test_uvicorn_gets_its_settings_by_variables_of_its_own() -> None:
    reported = run_by("Uvicorn", port=9000, health={"startupTimeout": "90s"})
    assert {name: value for name, value in reported.items() if name.startswith("UVICORN_")} == {
        "UVICORN_HOST": "0.0.0.0",
        "UVICORN_PORT": "9000",
        "UVICORN_WORKERS": "2",
        "UVICORN_TIMEOUT_KEEP_ALIVE": "100",
        "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "18",
        "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "90",
    }


@pytest.mark.parametrize("server", SERVERS)
def test_every_server_gets_the_folder_of_heap_snapshots_and_the_size_from_which_on(server: str) -> None:
    reported = run_by(server, memoryRestart={"heapSnapshots": {"mode": "Enabled", "sizeLimit": "600Mi"}})
    assert reported["HCA_SNAPSHOT_DIR"] == "/heap-snapshots"
    assert reported["HCA_SNAPSHOT_MAX_SIZE"] == "100", "so that five, and one that is being written, have room"
    assert reported["HCA_WORKER_MAX_RSS"] == "204"


@pytest.mark.parametrize("server", SERVERS)
def test_without_a_threshold_heap_snapshots_are_written_on_request_alone(server: str) -> None:
    reported = run_by(server, memoryRestart={"mode": "Disabled", "heapSnapshots": {"mode": "Enabled"}})
    assert reported["HCA_SNAPSHOT_DIR"] == "/heap-snapshots"
    assert "HCA_WORKER_MAX_RSS" not in reported


@pytest.mark.parametrize("server", SERVERS)
def test_without_heap_snapshots_no_variable_is_set(server: str) -> None:
    assert not [name for name in run_by(server) if name.startswith("HCA_SNAPSHOT")]


def test_the_heap_of_node_leaves_room_in_the_memory_of_each_worker() -> None:
    assert run_by("Node")["NODE_OPTIONS"] == "--max-old-space-size=192"


def test_options_for_node_of_the_user_come_after_ours() -> None:
    reported = run_by("Node", env=[{"name": "NODE_OPTIONS", "value": "--enable-source-maps"}])
    assert reported["NODE_OPTIONS"] == "--max-old-space-size=192 --enable-source-maps"


@pytest.mark.parametrize("server", OPTIONS_ENV)
def test_options_may_refer_to_what_the_user_has_set_before(server: ApplicationServer) -> None:
    secret = {"name": "MINE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    listed = spec(workers={"server": server}, env=[secret, {"name": OPTIONS_ENV[server], "value": "$(MINE)"}])
    names = [variable["name"] for variable in environment(listed, size(listed))]
    assert names.index("MINE") < names.index(OPTIONS_ENV[server])


@pytest.mark.parametrize("server", OPTIONS_ENV)
def test_options_that_the_user_leaves_empty_are_ours(server: ApplicationServer) -> None:
    name = OPTIONS_ENV[server]
    assert run_by(server, env=[{"name": name}])[name] == run_by(server)[name]


@pytest.mark.parametrize("server", SERVERS)
def test_what_the_operator_sets_is_just_what_an_object_may_not_set(server: ApplicationServer) -> None:
    reserved = ALWAYS_RESERVED_ENV if server == "Granian" else RESERVED_ENV[server]
    assert set(run_by(server)) - set(OPTIONS_ENV.values()) == set(reserved)
