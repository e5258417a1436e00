"""A server in which anything may happen, and a supervisor that does what the rules say."""

from dataclasses import dataclass, field

from hypothesis import strategies as st

from hca_workers.rules import recycling
from hca_workers.rules.recycling import Action, Observed, Policy, State, Verb, Worker, decide

POLICY = Policy(
    max_rss_bytes=100, samples=2, early_age_seconds=9, max_silence_seconds=8,
    boot_timeout_seconds=10, kill_timeout_seconds=6, min_interval_seconds=20,
)  # fmt: skip
DESIRED = 2


@dataclass
class Process:
    born: float
    ready: bool = False
    silent_since: float | None = None
    rss: int = 50
    draining: bool = False
    killed: bool = False


@dataclass
class World:
    """A server whose processes do what a test says, and whose supervisor does what `decide` says."""

    policy: Policy = POLICY
    now: float = 1000.0
    state: State = field(default_factory=State)
    processes: dict[int, Process] = field(default_factory=dict)
    done: list[tuple[float, Action]] = field(default_factory=list)
    last: int = 0
    known: set[int] = field(default_factory=set)
    observations: list[tuple[Observed, list[int]]] = field(default_factory=list)
    """What the supervisor observed each time, and the replacements requested since the time before."""
    _requested: list[int] = field(default_factory=list)

    def start(self, *, ready: bool = True) -> int:
        self.last += 1
        self.processes[self.last] = Process(self.now, ready)
        self.known.add(self.last)
        return self.last

    def observed_workers(self, *, sampled: bool = True) -> list[Worker]:
        return [
            Worker(
                pid,
                age_seconds=self.now - process.born,
                ready=process.ready,
                silence_seconds=0.0 if process.silent_since is None else self.now - process.silent_since,
                rss_bytes=process.rss if sampled else None,
            )
            for pid, process in self.processes.items()
        ]

    def tick(self, seconds: float = 1.0, *, sampled: bool = True, starts: bool = True) -> list[Action]:
        """Time goes by, the supervisor observes, and acts."""
        self.now += seconds
        self.processes = {pid: process for pid, process in self.processes.items() if not process.killed}
        ended = self.known - self.processes.keys()
        self.known = set(self.processes)
        before = self.state
        workers = self.observed_workers(sampled=sampled)
        observed = Observed(workers, DESIRED, self.now, sorted(ended))
        self.observations.append((observed, self._requested))
        self._requested = []
        self.state, actions = decide(self.state, observed, self.policy)
        for action in actions:
            self.check(action, before, workers)
            if action.verb is Verb.KILL:
                self.processes[action.pid].killed = True
            elif action.verb is Verb.DRAIN:
                self.processes[action.pid].draining = True
        self.done += [(self.now, action) for action in actions]
        while starts and len(self.processes) < DESIRED + self.state.surplus:
            self.start(ready=False)
        return list(actions)

    def check(self, action: Action, before: State, workers: list[Worker]) -> None:
        """What must hold for each single action, whatever happened before."""
        observed = {worker.pid: worker for worker in workers}[action.pid]
        others = [worker for worker in workers if worker.pid != action.pid]
        if action.verb is Verb.DRAIN:
            assert sum(worker.ready for worker in others) >= DESIRED
            assert not any(self.processes[worker.pid].draining for worker in others)
        elif action.verb is Verb.REPLACE:
            assert before.replacement is None
            assert len(workers) == DESIRED
            assert all(worker.ready for worker in workers)
            assert before.requested or self.now >= before.not_before
        elif action.verb is Verb.KILL:
            unready = not observed.ready and observed.age_seconds > self.policy.boot_timeout_seconds
            silent = observed.ready and observed.silence_seconds > self.policy.max_silence_seconds
            assert unready or silent or self.processes[action.pid].draining
        else:
            assert action.verb is Verb.NOTE

    def verbs(self) -> list[Verb]:
        return [action.verb for _, action in self.done]

    def leave(self) -> None:
        """The one that drains has finished."""
        self.processes = {pid: process for pid, process in self.processes.items() if not process.draining}

    def boot(self) -> None:
        for process in self.processes.values():
            process.ready = True

    def request(self, *pids: int) -> None:
        """The replacement of these is requested."""
        self.state = recycling.request_replacement(self.state, pids)
        self._requested += pids

    def live(self, event: "Event") -> None:
        """Something happens to one of them, then the supervisor observes."""
        happens, which, seconds, sampled = event
        pids = sorted(self.processes)
        if pids:
            self._happen(happens, pids[which % len(pids)])
        self.tick(seconds, sampled=sampled)

    def _happen(self, event: str, pid: int) -> None:
        process = self.processes[pid]
        if event == "grow":
            process.rss = 150
        elif event == "shrink":
            process.rss = 50
        elif event == "hang":
            process.silent_since = self.now
        elif event == "wake":
            process.silent_since = None
        elif event == "die":
            del self.processes[pid]
        elif event == "boot":
            process.ready = True
        elif event == "leave":
            self.leave()
        elif event == "request":
            self.request(pid)


Event = tuple[str, int, float, bool]
# More of what leads on: a server in which everything dies all the time is never seen to replace anything.
STORIES = st.lists(
    st.tuples(
        st.sampled_from(["grow", "boot", "boot", "leave", "shrink", "hang", "wake", "die", "request", "nothing"]),
        st.integers(0, 3),
        st.sampled_from([0.5, 1.0, 1.0, 2.0, 4.0, 6.0, 10.0, 25.0]),
        st.sampled_from([True, True, True, False]),
    ),
    min_size=10,
    max_size=100,
)
