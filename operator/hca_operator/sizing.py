"""Numbers that follow from the object: workers, memory budgets, timings. Shown in status, never written into spec."""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from hca_operator.api.duration import parse_duration
from hca_operator.api.quantity import MEBIBYTE, cpu_text, memory_text, parse_quantity
from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.errors import SpecError

SUPERVISOR_RESERVE_MIB = 48
"""Resident memory of Granian's supervisor: 30 MiB measured with Granian 2.8 on Python 3.13, and half on top."""
SMALLEST_BUDGET_MIB = 32
"""Below this a Python worker is over its threshold before it has served anything, and would be replaced for ever."""
LONGEST_PRE_STOP = 10
"""Seconds for every balancer to learn that a pod is going; Envoy needs about one, iptables on busy nodes several."""
SERVER_EXIT_MARGIN = 2
"""Seconds between the server's own kill of a stuck worker and the kubelet's kill of the pod."""


@dataclass(frozen=True)
class Sizing:
    """What the workload is built from. Memory in MiB, times in whole seconds."""

    workers: int
    cpu_rounded_down: str | None
    """The CPU quantity, where a part of it gives no worker."""
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
    workers, cpu_rounded_down = _workers(spec)
    grace = parse_duration(spec.availability.termination_grace_period)
    pre_stop = min(LONGEST_PRE_STOP, grace // 3)
    startup = parse_duration(spec.health.startup_timeout)
    return Sizing(
        workers=workers,
        cpu_rounded_down=cpu_rounded_down,
        worker_max_rss=_worker_max_rss(spec, workers),
        sample_interval=parse_duration(spec.memory_restart.sample_interval),
        grace=grace,
        pre_stop=pre_stop,
        worker_kill_timeout=max(1, grace - pre_stop - SERVER_EXIT_MARGIN),
        startup_timeout=startup,
        # A pod may take as long as it is allowed to start, and a few minutes more to be scheduled and pulled.
        progress_deadline=startup + 240,
    )


def _workers(spec: HighConcurrencyApiSpec) -> tuple[int, str | None]:
    if spec.workers.count is not None:
        return spec.workers.count, None
    cpu = spec.resources.limits.cpu or spec.resources.requests.cpu
    if cpu is None:
        return 1, None
    cores = parse_quantity(cpu)
    whole = int(cores.to_integral_value(ROUND_FLOOR))
    rounded = cpu_text(cores) if whole >= 1 and cores != whole else None
    return max(1, whole), rounded


def _worker_max_rss(spec: HighConcurrencyApiSpec, workers: int) -> int | None:
    limit = parse_quantity(spec.resources.limits.memory)
    budget = (limit / MEBIBYTE - SUPERVISOR_RESERVE_MIB) / workers
    if budget < SMALLEST_BUDGET_MIB:
        needed = Decimal((SUPERVISOR_RESERVE_MIB + SMALLEST_BUDGET_MIB * workers) * MEBIBYTE)
        raise SpecError(
            f"spec.resources.limits.memory: {spec.resources.limits.memory} is too small for {workers} workers: "
            f"use at least {memory_text(needed)}, or fewer workers (spec.workers.count)"
        )
    if spec.memory_restart.mode == "Disabled":
        return None
    if spec.memory_restart.worker.max_rss is not None:
        return int(parse_quantity(spec.memory_restart.worker.max_rss) / MEBIBYTE)
    return int(budget * spec.memory_restart.worker.threshold_percent / 100)
