"""One observation of the workers: memory from /proc, heartbeats from the shared table, and the decision on both."""

import time
from collections.abc import Collection

from hca_workers.processes.heartbeats import Heartbeats
from hca_workers.processes.memory import resident_bytes
from hca_workers.rules import recycling
from hca_workers.rules.recycling import Action, Observed, State, Worker
from hca_workers.settings import Settings


class Observer:
    """Keeps the state of the rules from one observation to the next."""

    def __init__(self, settings: Settings, heartbeats: Heartbeats) -> None:
        self._settings = settings
        self._heartbeats = heartbeats
        self._first_observed: dict[int, float] = {}
        self._next_sample = 0.0
        self.state = State()

    def observe(self, pids: Collection[int], *, desired: int, ended: Collection[int] = ()) -> tuple[Action, ...]:
        """Return the actions to take on the workers with these process ids."""
        now = time.monotonic()
        self._heartbeats.free_all_but(pids)
        self._first_observed = {pid: self._first_observed.get(pid, now) for pid in pids}
        times = self._heartbeats.times()
        sampled = now >= self._next_sample
        if sampled:
            self._next_sample = now + self._settings.sample_interval_seconds
        workers = [
            Worker(
                pid,
                age_seconds=now - since,
                ready=pid in times,
                silence_seconds=now - times.get(pid, now),
                rss_bytes=resident_bytes(pid) if sampled else None,
            )
            for pid, since in self._first_observed.items()
        ]
        observed = Observed(workers, desired, now, ended)
        self.state, actions = recycling.decide(self.state, observed, self._settings.policy)
        return actions

    def request_replacement(self, pids: Collection[int]) -> None:
        """Have these workers replaced, one after the other."""
        self.state = recycling.request_replacement(self.state, pids)
