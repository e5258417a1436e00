"""One look at the workers: what they hold, when they beat, and what follows from it."""

import time
from collections.abc import Collection

from hca_workers.processes.board import Board, resident_bytes
from hca_workers.rules import recycling
from hca_workers.rules.recycling import Act, Seen, State, Worker
from hca_workers.settings import Settings


class Watch:
    """Remembers between one look and the next what `recycling` needs to decide."""

    def __init__(self, settings: Settings, board: Board) -> None:
        self._settings = settings
        self._board = board
        self._since: dict[int, float] = {}
        self._next_sample = 0.0
        self.state = State()

    def look(self, pids: Collection[int], *, wanted: int, ended: Collection[int] = ()) -> tuple[Act, ...]:
        """Return what is to be done to the workers that there are."""
        now = time.monotonic()
        self._board.keep(pids)
        self._since = {pid: self._since.get(pid, now) for pid in pids}
        beats = self._board.beats()
        sampled = now >= self._next_sample
        if sampled:
            self._next_sample = now + self._settings.sample_interval
        workers = [
            Worker(
                pid,
                age=now - since,
                ready=pid in beats,
                silence=now - beats.get(pid, now),
                rss=resident_bytes(pid) if sampled else None,
            )
            for pid, since in self._since.items()
        ]
        self.state, acts = recycling.decide(self.state, Seen(workers, wanted, now, ended), self._settings.policy)
        return acts

    def ask(self, pids: Collection[int]) -> None:
        """Have these replaced, one after the other."""
        self.state = recycling.asked(self.state, pids)
