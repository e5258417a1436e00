"""Which objects share a query: as many as fit, and one by whose series a query fails soon stands alone: pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hca_operator.core.ports import Key

MOST_PODS = 400
"""Pods that a query is about, unless one object has more: with twenty buckets each, an answer of a megabyte."""
LONGEST_QUERY = 2**16
"""Characters of a query, unless one object needs more."""


class Part(NamedTuple):
    """What an object adds to a query."""

    pods: int
    paths: frozenset[str]
    """The ignored paths, which objects share."""
    length: int
    """Characters that these paths take, and the names of namespaces so many times more."""
    times: int


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
        """At most, for a namespace may stand in the part of each of the paths."""
        namespace = 0 if api.namespace in self.namespaces else (len(api.namespace) + 1) * part.times
        return namespace + (0 if part.paths in self.paths else part.length)


class Portions:
    """Divides objects into portions, and remembers of which ones less was asked since a query about them failed."""

    def __init__(self) -> None:
        self._most: dict[Key, int] = {}
        """Objects that a portion with this one may have at most."""

    def of(self, parts: Mapping[Key, Part]) -> Iterator[list[Key]]:
        """The portions of objects, each with its part in a query."""
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
        """A query about these was answered: they may be among others again."""
        for api in portion:
            self._most.pop(api, None)

    def failed(self, portion: Collection[Key]) -> None:
        """A query about these failed by what it asks for: next time it is asked in two halves."""
        for api in portion:
            self._most[api] = max(1, len(portion) // 2)
