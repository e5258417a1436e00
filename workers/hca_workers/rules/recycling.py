"""Which worker is replaced or killed, and when: a pure function of the observed workers and the previous state.

A worker that holds too much memory is replaced in a fixed order, so that the number of ready workers never falls
below the desired one: start another worker, wait until it is ready, ask the old one to finish, wait until it has
ended. One replacement at a time.

A replacement fails if the new worker does not become ready, or if the old one had exceeded the limit right from its
start. Each failure doubles the interval before the next replacement: a limit that is too low must not make a server
do nothing but start workers.

A worker whose event loop is blocked is killed at once. It serves no request, and no signal but SIGKILL reaches it.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

LONGEST_INTERVAL_SECONDS = 3600.0


@dataclass(frozen=True)
class Policy:
    """The limits."""

    max_rss_bytes: float = math.inf
    samples: int = 3
    """Consecutive samples above the limit before a worker is replaced: memory of one large request is ignored."""
    early_age_seconds: float = 60.0
    """A worker that reaches the limit at this age or sooner does not leak: the limit is too low for it."""
    max_silence_seconds: float = 8.0
    boot_timeout_seconds: float = 60.0
    kill_timeout_seconds: float = 30.0
    min_interval_seconds: float = 60.0

    def interval_seconds(self, failures: int) -> float:
        """Return the time between two replacements after this many failures in a row."""
        doubled = self.min_interval_seconds * 2.0 ** min(failures, 32)
        return max(self.min_interval_seconds, min(doubled, LONGEST_INTERVAL_SECONDS))


@dataclass(frozen=True)
class Worker:
    """One observed process."""

    pid: int
    age_seconds: float
    ready: bool
    silence_seconds: float = 0.0
    """Time since its last heartbeat; meaningless until it is ready."""
    rss_bytes: int | None = None
    """Resident memory; None unless it was sampled for this observation."""


@dataclass(frozen=True)
class Observed:
    """The server at one moment."""

    workers: Sequence[Worker]
    desired: int
    """Number of workers that the server is configured to have."""
    now: float
    """Seconds of a monotonic clock."""
    ended: Collection[int] = ()
    """Process ids that ended since the previous observation, including workers that were never observed."""


class Verb(StrEnum):
    """What to do with a worker."""

    REPLACE = "replace"
    """Start another worker beside it."""
    DRAIN = "drain"
    """Ask it to finish its requests and end."""
    KILL = "kill"
    NOTE = "note"
    """Only log the reason."""


@dataclass(frozen=True)
class Action:
    """One thing to do with one worker, and the reason for the log."""

    verb: Verb
    pid: int
    reason: str


@dataclass(frozen=True)
class Replacement:
    """The replacement in progress."""

    old: int
    """Process id of the worker that is replaced."""
    started_at: float
    existing: frozenset[int]
    """Process ids at the start of the replacement: any other worker is the new one."""
    useful: bool = True
    """False if the old worker exceeded the limit right from its start: the new one will do so as well."""
    draining_since: float | None = None


@dataclass(frozen=True)
class State:
    """The result of one decision, and input of the next; all times are those of `Observed.now`."""

    samples_over: Mapping[int, int] = field(default_factory=dict)
    """Consecutive samples above the limit, by process id."""
    over_early: frozenset[int] = frozenset()
    """Workers that exceeded the limit soon after their start."""
    requested: frozenset[int] = frozenset()
    """Workers whose replacement was requested, whatever memory they hold."""
    killed: frozenset[int] = frozenset()
    replacement: Replacement | None = None
    not_before: float = -math.inf
    """Earliest start of the next replacement because of memory."""
    failures: int = 0
    """Failed replacements in a row."""
    observed_at: float = -math.inf
    silence_ignored_until: float = -math.inf
    """After a pause of the supervisor: the whole container was frozen, and the workers could not beat either."""

    @property
    def surplus(self) -> int:
        """Number of workers to run beyond the desired number."""
        return int(self.replacement is not None)


def request_replacement(state: State, pids: Collection[int]) -> State:
    """Return the state in which these workers are replaced one after the other, without an interval in between."""
    return replace(state, requested=state.requested | frozenset(pids))


def decide(state: State, observed: Observed, policy: Policy) -> tuple[State, tuple[Action, ...]]:
    """Return the next state and the actions to take now, in this order."""
    state = _updated(state, observed, policy)
    state, kills = _kill_unresponsive(state, observed, policy)
    if state.replacement is None:
        state, actions = _begin_replacement(state, observed, policy)
    else:
        state, actions = _continue_replacement(state, state.replacement, observed, policy)
    return state, (*kills, *actions)


def _updated(state: State, observed: Observed, policy: Policy) -> State:
    present = {worker.pid for worker in observed.workers}
    samples_over = {
        worker.pid: _consecutive(state.samples_over.get(worker.pid, 0), worker, policy) for worker in observed.workers
    }
    over_early = state.over_early & present | {
        worker.pid
        for worker in observed.workers
        if state.samples_over.get(worker.pid, 0) < policy.samples <= samples_over[worker.pid]
        and worker.age_seconds <= policy.early_age_seconds
    }
    paused = state.observed_at > -math.inf and observed.now - state.observed_at > policy.max_silence_seconds / 2
    return replace(
        state,
        samples_over=samples_over,
        over_early=over_early,
        requested=state.requested & present,
        killed=state.killed & present,
        observed_at=observed.now,
        silence_ignored_until=observed.now + policy.max_silence_seconds if paused else state.silence_ignored_until,
    )


def _consecutive(before: int, worker: Worker, policy: Policy) -> int:
    if worker.rss_bytes is None:
        return before
    return before + 1 if worker.rss_bytes > policy.max_rss_bytes else 0


def _kill_unresponsive(state: State, observed: Observed, policy: Policy) -> tuple[State, list[Action]]:
    if observed.now < state.silence_ignored_until:
        return state, []
    boot_timeout, max_silence = policy.boot_timeout_seconds, policy.max_silence_seconds
    actions = []
    for worker in observed.workers:
        if worker.pid in state.killed:
            continue
        if not worker.ready and worker.age_seconds > boot_timeout:
            actions.append(Action(Verb.KILL, worker.pid, f"it is not ready after {boot_timeout:g} s"))
        # A draining worker has stopped its heartbeat, and has a time limit of its own.
        elif worker.ready and worker.silence_seconds > max_silence and not _is_draining(state, worker.pid):
            actions.append(Action(Verb.KILL, worker.pid, f"its event loop has been blocked for {max_silence:g} s"))
    return replace(state, killed=state.killed | {action.pid for action in actions}), actions


def _is_draining(state: State, pid: int) -> bool:
    current = state.replacement
    return current is not None and current.old == pid and current.draining_since is not None


def _begin_replacement(state: State, observed: Observed, policy: Policy) -> tuple[State, list[Action]]:
    workers = observed.workers
    if len(workers) < observed.desired or state.killed or not all(worker.ready for worker in workers):
        return state, []
    spare = len(workers) > observed.desired
    too_big = [
        worker
        for worker in workers
        if state.samples_over[worker.pid] >= policy.samples and observed.now >= state.not_before
    ]
    due = too_big or [worker for worker in workers if worker.pid in state.requested]
    if not due and not spare:
        return state, []
    old = max(due or workers, key=lambda worker: (state.samples_over[worker.pid], worker.age_seconds, -worker.pid))
    replacement = Replacement(
        old.pid,
        started_at=observed.now,
        existing=frozenset(worker.pid for worker in workers),
        useful=old.pid not in state.over_early,
        # A worker that became ready after its replacement was given up serves as the new one.
        draining_since=observed.now if spare else None,
    )
    state = replace(state, replacement=replacement)
    if spare:
        return state, [Action(Verb.DRAIN, old.pid, "there is one worker more than desired")]
    reason = "it holds more memory than it may" if old in too_big else "its replacement was requested"
    return state, [Action(Verb.REPLACE, old.pid, reason)]


def _continue_replacement(
    state: State, current: Replacement, observed: Observed, policy: Policy
) -> tuple[State, list[Action]]:
    if all(worker.pid != current.old for worker in observed.workers):
        return _end_replacement(state, policy, observed.now, failures=0 if current.useful else state.failures + 1), []
    if current.draining_since is not None:
        return _kill_late(state, current, policy, observed.now)
    died = any(pid not in current.existing for pid in observed.ended)
    if died or observed.now - current.started_at > 2 * policy.boot_timeout_seconds:
        # Requests are dropped: a worker that cannot start now will not start a moment later.
        dropped = replace(state, requested=frozenset())
        state = _end_replacement(dropped, policy, observed.now, failures=state.failures + 1)
        interval = policy.interval_seconds(state.failures)
        reason = f"its replacement did not become ready, so it stays; next try in {interval:g} s"
        return state, [Action(Verb.NOTE, current.old, reason)]
    if sum(worker.ready for worker in observed.workers if worker.pid != current.old) < observed.desired:
        return state, []
    drain = Action(Verb.DRAIN, current.old, "another one is ready in its place")
    return replace(state, replacement=replace(current, draining_since=observed.now)), [drain]


def _kill_late(state: State, current: Replacement, policy: Policy, now: float) -> tuple[State, list[Action]]:
    limit = policy.kill_timeout_seconds
    late = current.draining_since is not None and now - current.draining_since > limit
    if not late or current.old in state.killed:
        return state, []
    kill = Action(Verb.KILL, current.old, f"it has not finished within {limit:g} s")
    return replace(state, killed=state.killed | {current.old}), [kill]


def _end_replacement(state: State, policy: Policy, now: float, failures: int) -> State:
    return replace(state, replacement=None, failures=failures, not_before=now + policy.interval_seconds(failures))
