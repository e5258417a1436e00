"""A server in which anything may happen, and a supervisor that does what the rules say."""

from dataclasses import dataclass, field

from hypothesis import strategies as st

from hca_workers.rules import recycling
from hca_workers.rules.recycling import Act, Policy, Seen, State, Verb, Worker, decide

POLICY = Policy(max_rss=100, samples=2, early=9, max_silence=8, boot_timeout=10, kill_timeout=6, min_interval=20)
WANTED = 2


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
    done: list[tuple[float, Act]] = field(default_factory=list)
    last: int = 0
    known: set[int] = field(default_factory=set)
    looks: list[tuple[Seen, list[int]]] = field(default_factory=list)
    """What the supervisor saw each time, and what had been asked of it since the last."""
    _asked: list[int] = field(default_factory=list)

    def start(self, *, ready: bool = True) -> int:
        self.last += 1
        self.processes[self.last] = Process(self.now, ready)
        self.known.add(self.last)
        return self.last

    def seen(self, *, sampled: bool = True) -> list[Worker]:
        return [
            Worker(
                pid,
                age=self.now - process.born,
                ready=process.ready,
                silence=0.0 if process.silent_since is None else self.now - process.silent_since,
                rss=process.rss if sampled else None,
            )
            for pid, process in self.processes.items()
        ]

    def tick(self, seconds: float = 1.0, *, sampled: bool = True, starts: bool = True) -> list[Act]:
        """Time goes by, the supervisor looks, and acts."""
        self.now += seconds
        self.processes = {pid: process for pid, process in self.processes.items() if not process.killed}
        ended = self.known - self.processes.keys()
        self.known = set(self.processes)
        before = self.state
        workers = self.seen(sampled=sampled)
        seen = Seen(workers, WANTED, self.now, sorted(ended))
        self.looks.append((seen, self._asked))
        self._asked = []
        self.state, acts = decide(self.state, seen, self.policy)
        for act in acts:
            self.check(act, before, workers)
            if act.verb is Verb.KILL:
                self.processes[act.pid].killed = True
            elif act.verb is Verb.DRAIN:
                self.processes[act.pid].draining = True
        self.done += [(self.now, act) for act in acts]
        while starts and len(self.processes) < WANTED + self.state.surplus:
            self.start(ready=False)
        return list(acts)

    def check(self, act: Act, before: State, workers: list[Worker]) -> None:
        """What must hold for each single act, whatever happened before."""
        seen = {worker.pid: worker for worker in workers}[act.pid]
        others = [worker for worker in workers if worker.pid != act.pid]
        if act.verb is Verb.DRAIN:
            assert sum(worker.ready for worker in others) >= WANTED
            assert not any(self.processes[worker.pid].draining for worker in others)
        elif act.verb is Verb.REPLACE:
            assert before.replacement is None
            assert len(workers) == WANTED
            assert all(worker.ready for worker in workers)
            assert before.asked or self.now >= before.not_before
        elif act.verb is Verb.KILL:
            unready = not seen.ready and seen.age > self.policy.boot_timeout
            silent = seen.ready and seen.silence > self.policy.max_silence
            assert unready or silent or self.processes[act.pid].draining
        else:
            assert act.verb is Verb.NOTE

    def verbs(self) -> list[Verb]:
        return [act.verb for _, act in self.done]

    def leave(self) -> None:
        """The one that drains has finished."""
        self.processes = {pid: process for pid, process in self.processes.items() if not process.draining}

    def boot(self) -> None:
        for process in self.processes.values():
            process.ready = True

    def ask(self, *pids: int) -> None:
        """Somebody wants these replaced."""
        self.state = recycling.asked(self.state, pids)
        self._asked += pids

    def live(self, event: "Event") -> None:
        """Something happens to one of them, then the supervisor looks."""
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
        elif event == "ask":
            self.ask(pid)


Event = tuple[str, int, float, bool]
# More of what leads on: a server in which everything dies all the time is never seen to replace anything.
STORIES = st.lists(
    st.tuples(
        st.sampled_from(["grow", "boot", "boot", "leave", "shrink", "hang", "wake", "die", "ask", "nothing"]),
        st.integers(0, 3),
        st.sampled_from([0.5, 1.0, 1.0, 2.0, 4.0, 6.0, 10.0, 25.0]),
        st.sampled_from([True, True, True, False]),
    ),
    min_size=10,
    max_size=100,
)
