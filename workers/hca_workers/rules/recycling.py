"""Which worker goes, and when: decided from what was seen, by rules without a clock or a process.

A worker that is too big is replaced in a fixed order, so that there are never fewer ready workers
than wanted: one more is started, it is ready, the old one is told to finish, the old one is gone.
One at a time. A replacement that helps nothing - the new worker is never ready, or too big right
from its start - makes the next one wait twice as long: a threshold that is too low must not turn
into a server that does nothing but start.

A worker that hangs is killed at once: it serves nobody, and nothing but the kernel reaches it.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

LONGEST_WAIT = 3600.0


@dataclass(frozen=True)
class Policy:
    """The limits; times are seconds, memory is bytes."""

    max_rss: float = math.inf
    samples: int = 3
    """So many in a row must be above: what one large request took is forgiven."""
    early: float = 60.0
    """A worker above the limit at this age or sooner is not leaking: the limit is too low for it."""
    max_silence: float = 8.0
    boot_timeout: float = 60.0
    kill_timeout: float = 30.0
    min_interval: float = 60.0

    def wait(self, failures: int) -> float:
        """Return the time between two replacements, after so many that helped nothing."""
        doubled = self.min_interval * 2.0 ** min(failures, 32)
        return max(self.min_interval, min(doubled, LONGEST_WAIT))


@dataclass(frozen=True)
class Worker:
    """What is seen of one process."""

    pid: int
    age: float
    ready: bool
    silence: float = 0.0
    """Since it last beat; of no meaning before it is ready."""
    rss: int | None = None
    """Of a sample taken just now."""


@dataclass(frozen=True)
class Seen:
    """What is seen of the server at one moment."""

    workers: Sequence[Worker]
    wanted: int
    now: float
    ended: Collection[int] = ()
    """Those that ended since the last look, also before they were ever seen."""


class Verb(StrEnum):
    """What is to be done."""

    REPLACE = "replace"
    """Start one more, beside this one."""
    DRAIN = "drain"
    KILL = "kill"
    NOTE = "note"
    """Nothing but to say it."""


@dataclass(frozen=True)
class Act:
    """One thing to be done to a worker, and the reason for the log."""

    verb: Verb
    pid: int
    why: str


@dataclass(frozen=True)
class Replacement:
    """The one that is under way."""

    old: int
    begun: float
    beside: frozenset[int]
    """Who was there when it began: whoever else there is, or was, is the new one."""
    helps: bool = True
    """Whether the old one had become too big with time, not right from its start."""
    draining_since: float | None = None


@dataclass(frozen=True)
class State:
    """What one look leaves to the next."""

    over: Mapping[int, int] = field(default_factory=dict)
    """Samples in a row above the limit."""
    early: frozenset[int] = frozenset()
    """Those which were above it soon after their start."""
    asked: frozenset[int] = frozenset()
    """Those which somebody wants replaced, whatever they hold."""
    killed: frozenset[int] = frozenset()
    replacement: Replacement | None = None
    not_before: float = -math.inf
    failures: int = 0
    looked: float = -math.inf
    amnesty: float = -math.inf
    """Until then no silence counts: the one who looks was frozen itself, and they with it."""

    @property
    def surplus(self) -> int:
        """How many workers there are to be beyond those that are wanted."""
        return int(self.replacement is not None)


def asked(state: State, pids: Collection[int]) -> State:
    """Have these replaced one after the other, without waiting in between."""
    return replace(state, asked=state.asked | frozenset(pids))


def decide(state: State, seen: Seen, policy: Policy) -> tuple[State, tuple[Act, ...]]:
    """Return the next state and what to do now."""
    state = _remembered(state, seen, policy)
    state, kills = _hopeless(state, seen, policy)
    if state.replacement is None:
        state, acts = _begun(state, seen, policy)
    else:
        state, acts = _continued(state, state.replacement, seen, policy)
    return state, (*kills, *acts)


def _remembered(state: State, seen: Seen, policy: Policy) -> State:
    there = {worker.pid for worker in seen.workers}
    over = {worker.pid: _in_a_row(state.over.get(worker.pid, 0), worker, policy) for worker in seen.workers}
    early = state.early & there | {
        worker.pid
        for worker in seen.workers
        if state.over.get(worker.pid, 0) < policy.samples <= over[worker.pid] and worker.age <= policy.early
    }
    frozen = state.looked > -math.inf and seen.now - state.looked > policy.max_silence / 2
    return replace(
        state,
        over=over,
        early=early,
        asked=state.asked & there,
        killed=state.killed & there,
        looked=seen.now,
        amnesty=seen.now + policy.max_silence if frozen else state.amnesty,
    )


def _in_a_row(before: int, worker: Worker, policy: Policy) -> int:
    if worker.rss is None:
        return before
    return before + 1 if worker.rss > policy.max_rss else 0


def _hopeless(state: State, seen: Seen, policy: Policy) -> tuple[State, list[Act]]:
    if seen.now < state.amnesty:
        return state, []
    acts = []
    for worker in seen.workers:
        if worker.pid in state.killed:
            continue
        if not worker.ready and worker.age > policy.boot_timeout:
            acts.append(Act(Verb.KILL, worker.pid, f"it is not ready after {policy.boot_timeout:g} s"))
        # One that drains has left its loop's beat behind, and has a time limit of its own.
        elif worker.ready and worker.silence > policy.max_silence and not _drains(state, worker.pid):
            acts.append(Act(Verb.KILL, worker.pid, f"its loop has not turned for {policy.max_silence:g} s"))
    return replace(state, killed=state.killed | {act.pid for act in acts}), acts


def _drains(state: State, pid: int) -> bool:
    change = state.replacement
    return change is not None and change.old == pid and change.draining_since is not None


def _begun(state: State, seen: Seen, policy: Policy) -> tuple[State, list[Act]]:
    if len(seen.workers) < seen.wanted or state.killed or not all(worker.ready for worker in seen.workers):
        return state, []
    spare = len(seen.workers) > seen.wanted
    too_big = [
        worker for worker in seen.workers if state.over[worker.pid] >= policy.samples and seen.now >= state.not_before
    ]
    due = too_big or [worker for worker in seen.workers if worker.pid in state.asked]
    if not due and not spare:
        return state, []
    old = max(due or seen.workers, key=lambda worker: (state.over[worker.pid], worker.age, -worker.pid))
    change = Replacement(
        old.pid,
        begun=seen.now,
        beside=frozenset(worker.pid for worker in seen.workers),
        helps=old.pid not in state.early,
        # A new one that was given up and came after all is as good as one that was waited for.
        draining_since=seen.now if spare else None,
    )
    state = replace(state, replacement=change)
    if spare:
        return state, [Act(Verb.DRAIN, old.pid, "there is one more than wanted")]
    why = "it holds more memory than it may" if old in too_big else "somebody asked for it"
    return state, [Act(Verb.REPLACE, old.pid, why)]


def _continued(state: State, change: Replacement, seen: Seen, policy: Policy) -> tuple[State, list[Act]]:
    if all(worker.pid != change.old for worker in seen.workers):
        return _ended(state, policy, seen.now, failures=0 if change.helps else state.failures + 1), []
    if change.draining_since is not None:
        return _drained(state, change, policy, seen.now)
    died = any(pid not in change.beside for pid in seen.ended)
    if died or seen.now - change.begun > 2 * policy.boot_timeout:
        # What was asked for is dropped: what cannot start now will not start a moment later.
        state = _ended(replace(state, asked=frozenset()), policy, seen.now, failures=state.failures + 1)
        why = f"its replacement did not become ready, so it stays; next try in {policy.wait(state.failures):g} s"
        return state, [Act(Verb.NOTE, change.old, why)]
    if sum(worker.ready for worker in seen.workers if worker.pid != change.old) < seen.wanted:
        return state, []
    change = replace(change, draining_since=seen.now)
    drain = Act(Verb.DRAIN, change.old, "another one is ready in its place")
    return replace(state, replacement=change), [drain]


def _drained(state: State, change: Replacement, policy: Policy, now: float) -> tuple[State, list[Act]]:
    late = change.draining_since is not None and now - change.draining_since > policy.kill_timeout
    if not late or change.old in state.killed:
        return state, []
    kill = Act(Verb.KILL, change.old, f"it has not finished within {policy.kill_timeout:g} s")
    return replace(state, killed=state.killed | {change.old}), [kill]


def _ended(state: State, policy: Policy, now: float, failures: int) -> State:
    return replace(state, replacement=None, failures=failures, not_before=now + policy.wait(failures))
