import re
import socket
from pathlib import Path

import pytest
import yaml

from dev import cache, daemon, debian, go, kind, node_image, preflight, runtime, tools, versions, workloads
from dev.steps import ClusterError, command_line

GIB = preflight.GIB


@pytest.mark.parametrize(
    "sources",
    [
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n",
        "deb http://mirror.example/debian bookworm main\n",
        "# a comment\ndeb [arch=amd64 signed-by=/k] http://mirror.example/debian bookworm main\n",
        "deb http://other.example/debian-security trixie-security main\ndeb http://mirror.example/debian trixie main\n",
    ],
)
def test_base_images_come_from_the_mirror_that_the_machine_uses(sources: str) -> None:
    assert debian.mirror([sources]) == "http://mirror.example/debian"


def test_a_machine_without_a_debian_mirror_leaves_the_choice_to_debootstrap() -> None:
    assert debian.mirror(["deb http://mirror.example/ubuntu noble main"]) is None


@pytest.mark.parametrize(
    ("text", "version"), [("go1.26.8\n", (1, 26)), ("go1.9", (1, 9)), ("devel +abc", ()), ("", ())]
)
def test_go_versions_compare_as_numbers(text: str, version: tuple[int, ...]) -> None:
    assert go.go_version(text) == version
    assert (version >= versions.GO_MINIMUM) == text.startswith("go1.26")


@pytest.mark.parametrize(
    ("script", "used"),
    [("echo go1.26.6", True), ("echo go1.26.6; exit 1", False), ("sleep 60", False), (r"printf '\351'", False)],
)
def test_a_go_command_is_used_if_it_answers_well_and_in_time(
    script: str, used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "go"
    program.write_text(f"#!/bin/bash\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(go, "ANSWERS_WITHIN", 1.0)
    assert go.on_machine() == (program if used else None)


def test_a_go_mod_repeats_its_authors_replacements_and_names_staging_modules_by_their_releases() -> None:
    upstream = {
        "Go": "1.26.0",
        "Replace": [
            {"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}},
            {"Old": {"Path": "a.example/x", "Version": "v1.0.0"}, "New": {"Path": "b.example/x", "Version": "v1.0.1"}},
            {"Old": {"Path": "a.example/y"}, "New": {"Path": "../y"}},
        ],
    }
    tool = go.Tool("kubectl", "k8s.io/kubernetes", "v1.36.3", ("cmd/kubectl",))
    assert go.go_mod(tool, upstream).splitlines() == [
        "module local/kubectl",
        "go 1.26.0",
        "require k8s.io/kubernetes v1.36.3",
        "replace k8s.io/api => k8s.io/api v0.36.3",
        "replace a.example/x v1.0.0 => b.example/x v1.0.1",
    ]


def test_a_program_is_built_again_when_anything_it_is_made_from_changes() -> None:
    tool = go.Tool("a", "example.org/a", "v1.0.0", ("cmd/a",), "-X v=1")
    others = [
        go.Tool("a", "example.org/a", "v1.0.1", ("cmd/a",), "-X v=1"),
        go.Tool("a", "example.org/a", "v1.0.0", ("cmd/b",), "-X v=1"),
        go.Tool("a", "example.org/a", "v1.0.0", ("cmd/a",), "-X v=2"),
        go.Tool("a", "example.org/a", "v1.0.0", ("cmd/a",), "-X v=1", tools.NODE / "coredns.go"),
        go.Tool("a", "example.org/a", "v1.0.0", ("cmd/a",), "-X v=1", tags=("small",)),
    ]
    assert tool.folder == go.Tool("a", "example.org/a", "v1.0.0", ("cmd/a",), "-X v=1").folder
    assert len({tool.folder, *(other.folder for other in others)}) == 6


def test_a_minor_of_kubernetes_has_a_node_image_by_digest() -> None:
    for minor in versions.NODE_IMAGES:
        image, _, digest = node_image.image_of(minor).partition("@")
        assert image.startswith(f"kindest/node:v{minor}.")
        assert re.fullmatch("sha256:[0-9a-f]{64}", digest)


def test_a_minor_without_a_node_image_is_refused_by_name() -> None:
    with pytest.raises(ClusterError, match=r"KUBERNETES=1\.20 is not one of 1\.33"):
        node_image.image_of("1.20")


def test_the_oldest_node_image_is_of_the_oldest_kubernetes_that_the_chart_allows() -> None:
    chart = yaml.safe_load((cache.REPOSITORY / "charts" / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={min(versions.NODE_IMAGES)}.0-0"


def test_an_image_is_pinned_wherever_a_manifest_names_it_and_nowhere_else() -> None:
    manifest = "a:\n  image: r.example/app:old\n- image: r.example/app:older\n  image: r.example/application:1\n"
    pinned = workloads.pinned(manifest, "r.example/app", "r.example/app:new")
    assert pinned == "a:\n  image: r.example/app:new\n- image: r.example/app:new\n  image: r.example/application:1\n"


def test_a_manifest_that_lost_an_image_is_refused() -> None:
    with pytest.raises(ClusterError, match=r"no workload runs the image r\.example/app"):
        workloads.pinned("image: other:1\n", "r.example/app", "r.example/app:new")


def test_paths_on_one_volume_share_its_room() -> None:
    ours, docker = Path("/cache"), Path("/docker")
    needs = {ours: 4 * GIB, docker: 3 * GIB}
    free = {ours: 5 * GIB, docker: 5 * GIB}
    assert preflight.shortage(needs, free, {ours: 1, docker: 2}) is None
    found = preflight.shortage(needs, free, {ours: 1, docker: 1})
    assert found == "/cache and /docker: 7 GiB are needed and 5.0 are free"


def test_a_folder_that_may_not_be_looked_into_counts_by_the_one_that_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = Path.exists

    def refused(path: Path) -> bool:
        if path.parent.name == "private":
            raise PermissionError
        return exists(path)

    (tmp_path / "private" / "docker").mkdir(parents=True)
    monkeypatch.setattr(Path, "exists", refused)
    assert preflight.existing(tmp_path / "private" / "docker") == tmp_path / "private"


def test_a_port_with_a_listener_is_taken_until_it_closes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert kind.taken(port)
    assert not kind.taken(port)


def test_the_process_that_has_a_port_is_named_with_what_ends_it() -> None:
    of_kind, of_docker = {"other-control-plane": "other"}, {"web": ""}
    assert kind.holder_to_end(of_kind) == " by the kind cluster `other`: run `kind delete cluster --name other`"
    assert kind.holder_to_end(of_docker) == " by the container `web`: run `docker stop web`"
    assert kind.holder_to_end({}) == ": end the program that has it (see `ss -ltnp`)"


def test_a_host_without_a_capability_is_seen_by_its_bounding_set() -> None:
    assert runtime.missing("Name:\tx\nCapBnd:\t000001fffeffffff\n") == {"CAP_SYS_RESOURCE"}
    assert runtime.missing("CapBnd:\t000001ffffffffff\n") == set()


def test_a_container_asks_for_nothing_that_the_host_does_not_have() -> None:
    process = {
        "args": ["init"],
        "oomScoreAdj": -998,
        "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"]},
    }
    assert runtime.without(process, {"CAP_SYS_RESOURCE"}) == {
        "args": ["init"],
        "oomScoreAdj": 0,
        "capabilities": {"bounding": ["CAP_CHOWN"], "effective": []},
    }


def test_a_container_may_be_spared_from_the_oom_killer_where_the_host_can() -> None:
    assert runtime.without({"oomScoreAdj": -998}, {"CAP_BPF"})["oomScoreAdj"] == -998


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["--root", "/r", "create", "--bundle", "/b", "id"], "/b"),
        (["create", "--bundle=/b", "id"], "/b"),
        (["create", "-b", "/b", "id"], "/b"),
        (["delete", "id"], None),
    ],
)
def test_the_bundle_is_found_in_what_the_runtime_is_called_with(arguments: list[str], value: str | None) -> None:
    assert runtime.value_of(arguments, "--bundle", "-b") == value


def test_the_daemon_s_own_last_word_says_why_it_did_not_start() -> None:
    log = "level=info msg=starting\nfailed to start daemon: no such device\nlevel=info msg=stopping\n"
    assert daemon.reason(log) == "failed to start daemon: no such device"
    assert daemon.reason("level=info msg=starting\n") == "level=info msg=starting"
    assert daemon.reason("") == "it wrote nothing to its log"


def test_a_recycled_process_number_is_not_taken_for_the_daemon(tmp_path: Path) -> None:
    pid_file = tmp_path / "dockerd.pid"
    assert daemon.running(pid_file, "dockerd") is None
    pid_file.write_text("1\n")
    assert daemon.running(pid_file, "dockerd") is None
    assert daemon.running(pid_file, Path("/proc/1/comm").read_text().strip()) == 1


def test_a_daemon_that_ended_but_was_not_waited_for_does_not_run() -> None:
    assert daemon.is_running("Name:\tdockerd\nState:\tS (sleeping)\n", "dockerd")
    assert not daemon.is_running("Name:\tdockerd\nState:\tZ (zombie)\n", "dockerd")


def test_a_long_command_is_one_short_line() -> None:
    assert command_line(["bash", "-c", "first\nsecond"]) == "bash -c first"
    assert len(command_line(["x" * 300])) == 100


def test_the_node_image_has_the_same_name_wherever_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    here = node_image.own_image()
    monkeypatch.setattr(cache, "HOME", Path("/elsewhere"))
    assert node_image.own_image() == here
    monkeypatch.setattr(versions, "ETCD_TAG", "another")
    assert node_image.own_image() != here
