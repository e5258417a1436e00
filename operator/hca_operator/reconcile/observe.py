"""Second step: everything that a pass reads, gathered in two frozen values (`observed_state.py`) with one `now`.

The pods are observed after the children are written, in `Observer.pods`: whether they are worth two requests follows
from the Deployment as the API server answered to the write. A template that has just changed has no pods yet, and a
Deployment whose pods all serve needs none of theirs listed.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import TypeVar

from hca_operator.api.spec import ApiObject
from hca_operator.core.errors import Conflict, HcaError
from hca_operator.core.names import KIND, REPLACED_FOR_MEMORY, REPLACED_LABEL, STABLE, TRACK_LABEL, Manifest
from hca_operator.core.observed import (
    all_ready,
    all_updated,
    available_replicas,
    has_revision_of,
    hash_of,
    is_new,
    is_observed,
    is_ours,
    replicas_of,
    rolled_out,
)
from hca_operator.core.ports import Cluster, Configs, Key, WorkerMemoryReader
from hca_operator.desired.children import Child
from hca_operator.desired.metadata import api_selector, selector_text, stable_selector
from hca_operator.desired.references import Reference
from hca_operator.desired.scaling import autoscaling_wanted, fewest_pods
from hca_operator.kube.cache import version_of
from hca_operator.reconcile import adoption
from hca_operator.reconcile.observed_state import Observed, ObservedPods
from hca_operator.reconcile.resolve import Refused, Resolved
from hca_operator.reconcile.retries import Slot, problem_of
from hca_operator.reconcile.trackers import Trackers
from hca_operator.restarts.config_changes import ObservedConfig, followed_references, plan_config
from hca_operator.restarts.memory_trend import NearLimit
from hca_operator.restarts.pod_memory import held_bytes, to_ask
from hca_operator.status.diagnosis import diagnose, event_reasons

T = TypeVar("T")
MOST_ASKED = 4
"""Pods of an object whose metrics are read at a time: only one is replaced at a time."""


class Observer:
    """Reads the API server, the caches and the trackers.

    It changes one thing: the caches of ConfigMaps and Secrets follow those that it read last for an object, no others.
    """

    def __init__(
        self, cluster: Cluster, configs: Mapping[str, Configs], worker_memory: WorkerMemoryReader, trackers: Trackers
    ) -> None:
        """`configs`: sources of digests by kind, ConfigMap or Secret."""
        self._cluster = cluster
        self._worker_memory = worker_memory
        self._configs = configs
        self._trackers = trackers

    async def read(self, kind: str, key: Key) -> Manifest | None:
        """An object or a child from the cache, else from the API server."""
        cached = self._cluster.known(kind, key.namespace, key.name)
        return cached or await self._cluster.get(kind, key.namespace, key.name)

    def forget(self, key: Key) -> None:
        """Follow no ConfigMap or Secret for the object any longer."""
        for source in self._configs.values():
            source.forget(key)

    async def children(self, manifest: Manifest, resolved: Resolved | Refused, now: datetime) -> Observed:
        """An object and its children; of a refused one the Deployment alone, which its status describes.

        Raises Conflict if the object has changed since it was read.
        """
        observed = Observed(manifest, now, {})
        key = observed.key
        observed = replace(observed, polled_in_namespace=len(self._trackers.polled.get(key.namespace, ())))
        if isinstance(resolved, Refused):
            deployment = await self.read("Deployment", key)
            return observed if deployment is None else observed.with_child(deployment)
        children, unread = await self._children(manifest, resolved.children)
        observed = replace(observed, children=children, unread=unread)
        if resolved.active:
            autoscalers = await self._autoscalers(resolved, observed)
            neighbours = await self._neighbours(resolved, observed)
            config = await self._config(resolved, observed)
            observed = replace(observed, autoscalers=autoscalers, neighbours=neighbours, config=config)
        # Nothing is awaited from here to the start of `act`, so the trackers are as the plan finds them.
        return replace(
            observed,
            applied=self._trackers.applied.get(key, {}),
            retries=self._trackers.retries.of(key),
            repairs=dict(self._trackers.repairs.get(key, {})),
            user_change=key in self._trackers.user_changes,
            has_place=self._trackers.gate.has_place(key),
            burst=self._trackers.bursts.state(key),
        )

    async def taken(self, resolved: Resolved, observed: Observed, slot: Slot) -> Observed | None:
        """The same with the object that has the name of a child that could not be created; None if none has it."""
        live = await self._cluster.get(slot[0], observed.key.namespace, slot[1])
        if live is None:
            return None
        if slot[0] == "Deployment":
            observed = observed.with_child(live)
            autoscalers = await self._autoscalers(resolved, observed)
            neighbours = await self._neighbours(resolved, observed)
            observed = replace(observed, autoscalers=autoscalers, neighbours=neighbours)
        return self.answered(observed, live)

    def answered(self, observed: Observed, live: Manifest) -> Observed:
        """The same with the API server's answer about a child; the place among the rollouts is as it is now."""
        return replace(observed.with_child(live), has_place=self._trackers.gate.has_place(observed.key))

    async def pods(
        self, resolved: Resolved | Refused, observed: Observed, children: Mapping[Slot, Manifest], *, rolls: bool
    ) -> ObservedPods:
        """The pods, as far as they matter now.

        `children`: as they are after the writes. `rolls`: whether the pod template has just been changed.
        """
        key, api, memory = observed.key, resolved.api, self._trackers.memory
        deployment = children.get(("Deployment", key.name))
        if deployment is not None and not is_ours(deployment, observed.uid):
            deployment = None
        too_few = api is not None and available_replicas(deployment) < fewest_pods(api)
        seen = ObservedPods(
            deployment,
            too_few,
            memory_known=memory.available,
            memory_unread=bool(memory.available) and not memory.has_reading(key),
            memory_grows=memory.grows(key),
        )
        if api is None or deployment is None:
            return seen
        active, ready, current = api.spec.reconciliation == "Active", all_ready(deployment), is_observed(deployment)
        near = memory.near(key) if active and ready and not rolls else None
        replaces = active and (near is not None or key in self._trackers.replacements)
        unready = current and not ready
        settled = not current or (rolled_out(deployment) and not too_few)
        pods: Sequence[Manifest] = ()
        try:
            pods = await self._pods(api) if replaces or unready else ()
        except HcaError as error:
            return replace(seen, unread=error, replaces=replaces, problem=None if settled else problem_of(error))
        stable = [pod for pod in pods if pod["metadata"].get("labels", {}).get(TRACK_LABEL) == STABLE]
        seen = replace(seen, pods=pods, unready=stable if unready else (), replaces=replaces, near_limit=near)
        if replaces:
            seen = replace(seen, replica_sets=await self._replica_sets(api))
        if near is not None and resolved.sizing is not None:
            seen = replace(seen, held=await self._held(api, resolved.sizing.workers, near, pods))
        if settled:
            return seen
        return await self._diagnosed(api, seen, observed.now)

    async def _children(
        self, manifest: Manifest, children: Sequence[Child]
    ) -> tuple[Mapping[Slot, Manifest], Mapping[Slot, HcaError]]:
        """The children, and why some could not be read.

        They are from the cache; the API server is asked for those that are desired and not cached.

        It is asked, too, for those that a failed write made uncertain: they may have to be deleted.
        Those of an object without a status are created at once: a creation fails if the name is taken. Otherwise the
        object itself is asked for as well, since its deletion deletes its children.
        """
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        live = {(kind, child): self._cluster.known(kind, namespace, child) for kind, child, _ in children}
        missing = [
            (kind, child)
            for kind, child, desired in children
            if live[kind, child] is None and (desired or self._cluster.is_uncertain(kind, namespace, child))
        ]
        unread: Mapping[Slot, HcaError] = {}
        if missing and not is_new(manifest):
            current, found = await asyncio.gather(
                self._cluster.get(KIND, namespace, name),
                asyncio.gather(*(_or_error(self._cluster.get(kind, namespace, child)) for kind, child in missing)),
            )
            if current is None or version_of(current) > version_of(manifest):
                raise Conflict(f"{KIND} {namespace}/{name} has changed since it was read")
            unread = {slot: error for slot, error in zip(missing, found, strict=True) if isinstance(error, HcaError)}
            live |= {slot: child for slot, child in zip(missing, found, strict=True) if not isinstance(child, HcaError)}
        return {slot: found for slot, found in live.items() if found is not None}, unread

    async def _pods(self, api: ApiObject) -> list[Manifest]:
        selector = selector_text(api_selector(api.name))
        return await self._cluster.list("Pod", api.namespace, labelSelector=selector)

    async def _replica_sets(self, api: ApiObject) -> Sequence[Manifest] | HcaError:
        selector = selector_text({**api_selector(api.name), REPLACED_LABEL: REPLACED_FOR_MEMORY})
        return await _or_error(self._cluster.list("ReplicaSet", api.namespace, labelSelector=selector))

    async def _held(
        self, api: ApiObject, workers: int, near: NearLimit, pods: Sequence[Manifest]
    ) -> Mapping[str, int | None]:
        """Resident memory in bytes of the first pods that are near their own limit, by name of the pod."""
        monitoring = api.spec.monitoring
        asked = [*islice(to_ask(near, pods), MOST_ASKED)]
        answers = await asyncio.gather(
            *(
                self._worker_memory(pod["status"].get("podIP", ""), monitoring.port or api.spec.port, monitoring.path)
                for pod in asked
            )
        )
        names = (pod["metadata"]["name"] for pod in asked)
        return {name: held_bytes(resident, workers) for name, resident in zip(names, answers, strict=True)}

    async def _diagnosed(self, api: ApiObject, seen: ObservedPods, now: datetime) -> ObservedPods:
        """The same with why pods do not serve, from the pods and those Events of the kubelet that say more."""
        events: list[Manifest] = []
        unread = None
        latest = await self._latest(api, seen)
        try:
            for reason in event_reasons(api.spec, latest):
                selector = f"involvedObject.kind=Pod,reason={reason}"
                events += await self._cluster.list("Event", api.namespace, fieldSelector=selector)
        except HcaError as error:
            unread = error
        problem = diagnose(api.spec, seen.deployment, latest, events, now)
        if unread is None or problem is not None:
            return replace(seen, problem=problem)
        return replace(seen, problem=problem_of(unread), unread=unread)

    async def _latest(self, api: ApiObject, seen: ObservedPods) -> Sequence[Manifest]:
        """The unready pods of the latest template: the cause of a problem of earlier ones may have been corrected."""
        deployment = seen.deployment
        if deployment is None or not seen.unready or all_updated(deployment):
            return seen.unready
        selector = selector_text(stable_selector(api.name))
        replica_sets = await _or_error(self._cluster.list("ReplicaSet", api.namespace, labelSelector=selector))
        if isinstance(replica_sets, HcaError):
            return seen.unready
        hashes = {hash_of(each) for each in replica_sets if has_revision_of(deployment, each)}
        return [pod for pod in seen.unready if hash_of(pod) in hashes] if hashes else seen.unready

    async def _autoscalers(self, resolved: Resolved, observed: Observed) -> Sequence[Manifest] | HcaError:
        """The HorizontalPodAutoscalers of the namespace, if `replicas` of the Deployment differs from spec.replicas."""
        live = observed.child("Deployment")
        if autoscaling_wanted(resolved.api) or live is None or replicas_of(live) == resolved.api.spec.replicas:
            return ()
        if not is_ours(live, observed.uid) and not adoption.is_requested(resolved.api, live):
            return ()
        return await _or_error(self._cluster.list("HorizontalPodAutoscaler", observed.key.namespace))

    async def _neighbours(self, resolved: Resolved, observed: Observed) -> Sequence[Manifest] | HcaError:
        """What may act on the Deployment of the namespace that is to be adopted, empty if none is."""
        live = observed.child("Deployment")
        if live is None or is_ours(live, observed.uid) or not adoption.is_requested(resolved.api, live):
            return ()
        namespace = observed.key.namespace
        try:
            found = [await self._cluster.list(kind, namespace) for kind in adoption.NEIGHBOURS]
        except HcaError as error:
            return error
        return [other for others in found for other in others]

    async def _config(self, resolved: Resolved, observed: Observed) -> ObservedConfig:
        """Digests of the ConfigMaps and Secrets, from the API server if the object was edited: a watch may lag."""
        key = observed.key
        used = followed_references(resolved.api, self._configs)
        if not used:
            self.forget(key)
            return ObservedConfig()
        changes = self._trackers.config_changes
        try:
            digests = await self._digests(key, used, fresh=observed.edited)
            found = ObservedConfig(used, digests, None, changes.state(key), changes.spread())
            deployment = observed.child("Deployment")
            if plan_config(resolved.api, found, deployment, observed.now, edited=observed.edited).rolls_out:
                # A watch that lags behind, as that of a new leader may, must not roll pods back.
                found = replace(found, digests=await self._digests(key, used, fresh=True))
        except HcaError as error:
            return ObservedConfig(used, {}, error, changes.state(key), changes.spread())
        return found

    async def _digests(
        self, key: Key, used: Mapping[Reference, bool], *, fresh: bool
    ) -> Mapping[Reference, str | None]:
        digests: dict[Reference, str | None] = {}
        for kind, source in self._configs.items():
            names = [reference.name for reference in used if reference.kind == kind]
            found = await source.digests(key, names, fresh=fresh)
            digests |= {Reference(kind, name): digest for name, digest in found.items()}
        return digests


async def _or_error(read: Awaitable[T]) -> T | HcaError:
    """What is read, or why it cannot be: a part that cannot be read does not end the pass."""
    try:
        return await read
    except HcaError as error:
        return error
