"""Which objects share a query: as many as fit. Pure.

The portion of a failed query is halved each time, until the object that makes it fail is alone.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hca_operator.core.ports import Key

MOST_PODS = 400
"""Most pods in a query, unless one object has more: with twenty buckets each, the answer is one megabyte."""
LONGEST_QUERY = 2**16
"""Most characters of a query, unless one object needs more."""


class Part(NamedTuple):
    """What an object adds to a query."""

    pods: int
    paths: frozenset[str]
    """Its ignored paths; objects with equal ones share their part of the query."""
    length: int
    """Characters that these paths add to the query."""
    times: int
    """How often the query names its namespace."""


@dataclass
class _Portion:
    apis: list[Key] = field(default_factory=list)
    pods: int = 0
    length: int = 0
    namespaces: set[str] = field(default_factory=set)
    paths: set[frozenset[str]] = field(default_factory=set)

    def has_room_for(self, api: Key, part: Part) -> bool:
        return self.pods + part.pods <= MOST_PODS and self.length + self._more(api, part) <= LONGEST_QUERY

    def add(self, api: Key, part: Part) -> None:
        self.length += self._more(api, part)
        self.apis.append(api)
        self.pods += part.pods
        self.namespaces.add(api.namespace)
        self.paths.add(part.paths)

    def _more(self, api: Key, part: Part) -> int:
        """Characters that an object would add, at most: its namespace may be in the query already."""
        namespace = 0 if api.namespace in self.namespaces else (len(api.namespace) + 1) * part.times
        return namespace + (0 if part.paths in self.paths else part.length)


class Portions:
    """Divides objects into portions; those for which a query failed get smaller ones."""

    def __init__(self) -> None:
        self._most: dict[Key, int] = {}
        """Most objects in a portion with this one."""

    def of(self, parts: Mapping[Key, Part]) -> Iterator[list[Key]]:
        """The portions of these objects, whose parts in a query are given."""
        self._most = {api: most for api, most in self._most.items() if api in parts}
        portion = _Portion()
        for api in sorted(parts, key=lambda api: (self._most.get(api, len(parts)), api)):
            if portion.apis:
                most = self._most.get(portion.apis[0], len(parts))
                if len(portion.apis) >= most or not portion.has_room_for(api, parts[api]):
                    yield portion.apis
                    portion = _Portion()
            portion.add(api, parts[api])
        if portion.apis:
            yield portion.apis

    def answered(self, portion: Collection[Key]) -> None:
        """Record that a query about these objects was answered: they may share a larger portion again."""
        for api in portion:
            self._most.pop(api, None)

    def failed(self, portion: Collection[Key]) -> None:
        """Record that a query about these objects failed because of its content: next time it is sent in two halves."""
        for api in portion:
            self._most[api] = max(1, len(portion) // 2)
