"""Numbers that follow from the object: workers, memory budgets, timings. Shown in status, never written into spec."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from hca_operator.api.pod import Resources
from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.core.durations import parse_duration
from hca_operator.core.errors import SpecError
from hca_operator.core.quantities import MEBIBYTE, decimal_text, memory_text, parse_quantity

SUPERVISOR_RESERVE_MIB = 48
"""Resident memory of Granian's supervisor: 30 MiB measured with Granian 2.8 on Python 3.13, and half on top."""
SMALLEST_BUDGET_MIB = 32
"""Below this a Python worker is over its threshold before it has served anything, and would be replaced for ever."""
SMALLEST_NODE_BUDGET_MIB = 64
"""An idle Node 20 process has 40 MiB resident, which has to stay below the usual threshold of 80 %."""
LONGEST_PRE_STOP_SECONDS = 40
"""Seconds for every balancer to learn that a pod is going. Envoy needs about one while its control plane answers.

A node drain takes that away as well: Contour was gone for 7 to 17 s, measured, and the pauses between Envoy's tries to
reach it double. 40 s cover 98 of 100 of its streams after an outage of 14 s (docs/design/0004).
"""
SERVER_EXIT_MARGIN = 2
"""Seconds between the server's own kill of a stuck worker and the kubelet's kill of the pod."""


@dataclass(frozen=True)
class Sizing:
    """What the workload is built from. Memory in MiB, times in whole seconds."""

    workers: int
    """In each pod."""
    resources: Resources
    """Of each pod: the object's, or a worker's share of them."""
    cpu_rounded_down: str | None
    """The CPU quantity of a pod, where a part of it gives no worker."""
    worker_budget: int
    """Memory that a worker may have."""
    worker_max_rss: int | None
    """Resident memory at which a worker is replaced; None: never."""
    sample_interval: int
    grace: int
    pre_stop: int
    worker_kill_timeout: int
    startup_timeout: int
    progress_deadline: int


def size(spec: HighConcurrencyApiSpec) -> Sizing:
    """Sizes of an object. Raises SpecError where the memory cannot hold the workers."""
    cores = _cores(spec)
    workers = spec.workers.count or max(1, int(cores))
    shares = workers if spec.workers.placement == "OnePerPod" else 1
    idle = spec.workers.count is None and cores > 1 and cores != int(cores)
    budget = _worker_budget(spec, workers, shares)
    grace = parse_duration(spec.availability.termination_grace_period)
    pre_stop = min(LONGEST_PRE_STOP_SECONDS, grace * 2 // 3)
    startup = parse_duration(spec.health.startup_timeout)
    return Sizing(
        workers=workers // shares,
        resources=_share(spec.resources, shares),
        cpu_rounded_down=decimal_text(cores / shares) if idle else None,
        worker_budget=int(budget),
        worker_max_rss=_worker_max_rss(spec, budget, shares),
        sample_interval=parse_duration(spec.memory_restart.sample_interval),
        grace=grace,
        pre_stop=pre_stop,
        worker_kill_timeout=max(1, grace - pre_stop - SERVER_EXIT_MARGIN),
        startup_timeout=startup,
        # A pod may take as long as it is allowed to start, and a few minutes more to be scheduled and pulled.
        progress_deadline=startup + 240,
    )


def _cores(spec: HighConcurrencyApiSpec) -> Decimal:
    cpu = spec.resources.limits.cpu or spec.resources.requests.cpu
    return Decimal(0) if cpu is None else parse_quantity(cpu)


def _share(resources: Resources, shares: int) -> Resources:
    """One of so many equal shares, rounded up to what Kubernetes counts and people read: thousandths and mebibytes."""
    if shares == 1:
        return resources

    def cpu(quantity: str | None) -> str | None:
        return quantity and decimal_text(parse_quantity(quantity) / shares)

    def memory(quantity: str | None) -> str | None:
        if quantity is None:
            return None
        mebibytes = (parse_quantity(quantity) / MEBIBYTE / shares).to_integral_value(ROUND_CEILING)
        return memory_text(mebibytes * MEBIBYTE)

    # Copied, not made: what is too little for a pod to write may well be a worker's share.
    requests, limits = resources.requests, resources.limits
    return resources.model_copy(
        update={
            "requests": requests.model_copy(update={"cpu": cpu(requests.cpu), "memory": memory(requests.memory)}),
            "limits": limits.model_copy(update={"cpu": cpu(limits.cpu), "memory": memory(limits.memory)}),
        }
    )


def _worker_budget(spec: HighConcurrencyApiSpec, workers: int, shares: int) -> Decimal:
    limit = parse_quantity(spec.resources.limits.memory)
    budget = (limit / MEBIBYTE - SUPERVISOR_RESERVE_MIB * shares) / workers
    smallest = SMALLEST_NODE_BUDGET_MIB if spec.workers.server == "Node" else SMALLEST_BUDGET_MIB
    if budget < smallest:
        needed = Decimal((SUPERVISOR_RESERVE_MIB * shares + smallest * workers) * MEBIBYTE)
        where = " in pods of their own" if shares > 1 else ""
        raise SpecError(
            f"spec.resources.limits.memory: {spec.resources.limits.memory} is too small for {workers} workers{where}: "
            f"use at least {memory_text(needed)}, or fewer workers (spec.workers.count)"
        )
    return budget


def _worker_max_rss(spec: HighConcurrencyApiSpec, budget: Decimal, shares: int) -> int | None:
    if spec.memory_restart.mode == "Disabled":
        return None
    most = spec.memory_restart.worker.max_rss
    if most is None:
        return int(budget * spec.memory_restart.worker.threshold_percent / 100)
    limit = parse_quantity(spec.resources.limits.memory) / shares
    if parse_quantity(most) >= limit:
        raise SpecError(
            f"spec.memoryRestart.worker.maxRSS: {most} must be less than the {int(limit / MEBIBYTE)}Mi that each pod "
            "gets of spec.resources.limits.memory with spec.workers.placement OnePerPod, "
            "or the kernel kills the worker first"
        )
    return int(parse_quantity(most) / MEBIBYTE)
