"""Whose metrics are read, and where they are: read off the manifests, tolerantly, and kept as little as it takes: pure.

A cluster has tens of thousands of pods with manifests of many kilobytes, of which a few words matter here.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from hca_operator.api.metrics import FROM_PODS
from hca_operator.core.names import API_LABEL, Manifest
from hca_operator.core.observed import condition
from hca_operator.core.ports import Key

_PATH = re.compile("/[!-~]*")
"""What fits into the first line of a request; the definition of the objects allows less."""

T = TypeVar("T")


class Endpoint(NamedTuple):
    """Where each pod of an object shows its metrics."""

    port: int
    path: str
    aside: frozenset[str]
    """Paths that are asked for by probes and by this process, which is no load."""


class Pod(NamedTuple):
    """A pod that serves."""

    uid: str
    name: str
    address: str


def endpoint_of(api: Manifest) -> Endpoint | None:
    """Where the pods of an object show their metrics, None where nobody asks for them."""
    spec = api.get("spec") or {}
    monitoring = spec.get("monitoring") or {}
    path = monitoring.get("path") or "/metrics"
    if _source(spec) != "App" or not _PATH.fullmatch(path):
        return None
    readiness = (spec.get("health") or {}).get("readinessPath") or "/health"
    return Endpoint(monitoring.get("port") or spec.get("port") or 8000, path, frozenset({path, readiness}))


def cluster_of(api: Manifest) -> str | None:
    """What Contour calls the Service of an object in Envoy's statistics, None where nobody asks the ingress for it."""
    spec, (namespace, name) = api.get("spec") or {}, own_key(api)
    port = (spec.get("service") or {}).get("port") or 80
    return f"{namespace}_{name}_{port}" if _source(spec) == "Ingress" else None


def _source(spec: Manifest) -> str | None:
    """Who counts the requests of an object, None where nobody asks."""
    scaling = spec.get("autoscaling") or {}
    types = {metric.get("type") for metric in scaling.get("metrics") or []}
    if scaling.get("mode") == "Disabled" or types.isdisjoint(FROM_PODS):
        return None
    return (spec.get("monitoring") or {}).get("source") or "App"


def serving_pod(pod: Manifest) -> Pod | None:
    """A pod as it can be asked, None where it does not serve or is about to end."""
    metadata, address = pod["metadata"], (pod.get("status") or {}).get("podIP")
    if not address or "deletionTimestamp" in metadata or condition(pod, "Ready").get("status") != "True":
        return None
    return Pod(metadata["uid"], metadata["name"], address)


def own_key(manifest: Manifest) -> Key:
    """Which object it is."""
    return Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])


def api_of(pod: Manifest) -> Key:
    """To which object a pod belongs: the one whose Service it is in, for its load is that of the Service."""
    return Key(pod["metadata"]["namespace"], pod["metadata"]["labels"][API_LABEL])


class Table(Generic[T]):
    """What is kept of the objects of a kind, by the HighConcurrencyApi that it is about."""

    def __init__(self, read: Callable[[Manifest], T | None], about: Callable[[Manifest], Key]) -> None:
        self._read = read
        self._about = about
        self._places: dict[Key, Key] = {}
        self._kept: dict[Key, dict[Key, T]] = {}

    def __iter__(self) -> Iterator[Key]:
        return iter(self._kept)

    def of(self, api: Key) -> Collection[T]:
        """What is kept about one of them."""
        return self._kept.get(api, {}).values()

    def put(self, manifest: Manifest) -> set[Key]:
        """Keep the state of an object; whom that concerns, nobody where it is as it was."""
        key, value, api = own_key(manifest), self._read(manifest), self._about(manifest)
        if value is None:
            return self.remove(key)
        if self._places.get(key) == api and self._kept[api][key] == value:
            return set()
        concerned = self.remove(key)
        self._places[key] = api
        self._kept.setdefault(api, {})[key] = value
        return {api, *concerned}

    def remove(self, key: Key) -> set[Key]:
        """Forget an object; whom that concerns."""
        api = self._places.pop(key, None)
        if api is None:
            return set()
        del self._kept[api][key]
        if not self._kept[api]:
            del self._kept[api]
        return {api}

    def replace(self, manifests: Iterable[Manifest]) -> set[Key]:
        """Keep these and forget all others; whom that concerns."""
        concerned: set[Key] = set()
        listed = {own_key(manifest): manifest for manifest in manifests}
        for gone in self._places.keys() - listed.keys():
            concerned |= self.remove(gone)
        return concerned.union(*(self.put(manifest) for manifest in listed.values()))
