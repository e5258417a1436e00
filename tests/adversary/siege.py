"""What a tenant with the right to create objects and pods, and no other, does beside honest neighbours."""

import base64
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle

from dev.control_plane import HOST
from hca_operator.core.names import KIND, PLURAL, Manifest
from tests.adversary.generation import examples
from tests.adversary.hostile_objects import Draft, drafts
from tests.adversary.hostile_pods import pod, statuses
from tests.adversary.neighbourhood import NEIGHBOURS, PATIENCE, Neighbourhood
from tests.controlplane.api_server import MERGE, ApiServer, eventually
from tests.controlplane.objects import api

TENANT = "mallory"
"""User, and the one namespace of theirs."""
RIGHTS = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {TENANT}}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {{name: pods, namespace: {TENANT}}}
spec: {{hard: {{pods: "%d"}}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {TENANT}, namespace: {TENANT}}}
rules:
- {{apiGroups: [hca-operator.io], resources: [{PLURAL}], verbs: ["*"]}}
- {{apiGroups: [""], resources: [pods], verbs: ["*"]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {TENANT}, namespace: {TENANT}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {TENANT}}}
subjects: [{{kind: User, apiGroup: rbac.authorization.k8s.io, name: {TENANT}}}]
"""
PODS_OF_DEPLOYMENTS = 40
"""That the quota leaves to the objects: a thousand of them may ask for a thousand pods each."""
BETWEEN_EDITS = 0.5
"""Seconds from one edit of a neighbour to the next."""
FEWEST_STORED = 0.5
"""Share of the objects: a siege of refused ones would show nothing."""
OF_LARGE_PODS = "binary"
"""The object to which they belong, one of those with hostile metrics."""
METRICS: Sequence[Manifest] = (
    {"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "1m"}},
    {"name": "p95", "type": "Latency", "latency": {"percentile": 95, "target": "1ms"}},
    {"name": "inflight", "type": "Concurrency", "concurrency": {"targetPerWorker": 1}},
    {"name": "lag", "type": "EventLoopLag", "eventLoopLag": {"target": "1ms"}},
)


@dataclass(frozen=True)
class Size:
    """How large a siege is."""

    objects: int
    large_objects: int
    """Of more than a megabyte."""
    large_pods: int
    """Of more than four megabytes in a list."""
    pods: int
    """Of each kind of answer."""
    seconds: float = 0.0
    """At least."""
    number: int | None = None
    """From which everything is made up; without one it is the same each time."""


@dataclass
class Siege:
    """The tenant at work."""

    near: Neighbourhood
    size: Size
    ports: Mapping[str, int]
    """By what pods answer there."""
    apart: Neighbourhood | None = None
    """Without a tenant; changed at the same moments, for comparison."""
    answers: Counter[int] = field(default_factory=Counter)
    """Statuses with which the API server has answered when objects were to be created."""

    def __post_init__(self) -> None:
        pods = len(self.ports) * self.size.pods + self.size.large_pods + PODS_OF_DEPLOYMENTS
        self.near.control_plane.kubectl("apply", "-f", "-", stdin=RIGHTS % pods)
        self._random = random.Random(self.size.number or 0)
        self._drafts = drafts(self.size.objects, TENANT, self.size.number)
        self._pods: list[str] = []
        self._reports = cycle(examples(statuses, 200, self.size.number))

    def hold(self) -> None:
        """All of it, while the neighbours change their objects and their autoscalers read their metrics."""
        began = time.monotonic()
        with ThreadPoolExecutor(1) as thread:
            working = thread.submit(self._work)
            for number in cycle(range(NEIGHBOURS)):
                self.near.edit(number)
                if self.apart is not None:
                    self.apart.edit(number)
                self.near.read_metric(number)
                self.near.guard.check()
                if working.done() and time.monotonic() > began + self.size.seconds:
                    break
                time.sleep(BETWEEN_EDITS)
            working.result()
        assert self.answers[201] >= FEWEST_STORED * self.answers.total(), self.answers
        eventually(lambda: not self._unjudged(), within=2 * PATIENCE, pause=2)
        self.near.converge()
        for number in range(NEIGHBOURS):
            self.near.read_metric(number)
        self.near.guard.check()

    def figures(self) -> Iterator[str]:
        """What came of it."""
        yield f"{self.answers[201]} of {self.answers.total()} objects stored: {dict(self.answers)}"

    def _unjudged(self) -> Sequence[str]:
        """Objects without a condition of their present generation."""
        self.near.guard.check()
        return [
            found["metadata"]["name"]
            for found in self.near.server.find(KIND, TENANT)
            if "deletionTimestamp" not in found["metadata"]
            and not any(
                condition["observedGeneration"] == found["metadata"]["generation"]
                for condition in found.get("status", {}).get("conditions", [])
            )
        ]

    def _work(self) -> None:
        with ApiServer(self.near.control_plane.kubeconfig_for(TENANT)) as tenant:
            # Before the objects, whose Deployments take all that the quota leaves.
            for number in range(self.size.large_pods):
                self._make_large_pod(tenant, number)
            for answer, port in self.ports.items():
                self._make_metrics(tenant, answer, port)
            creations = [
                *(partial(self._send, tenant, draft.body, draft.as_) for draft in self._drafts),
                *(partial(self._send, tenant, _large_object(number)) for number in range(self.size.large_objects)),
            ]
            self._random.shuffle(creations)
            changes = [partial(self._change, tenant) for _ in creations]
            steps = [*creations, *changes]
            began = time.monotonic()
            for nth, step in enumerate(steps):
                step()
                time.sleep(max(0.0, began + nth * self.size.seconds / len(steps) - time.monotonic()))
            with ThreadPoolExecutor(4) as threads:  # all at once, at the end
                list(threads.map(partial(self._edit, tenant), self._drafts))

    def _send(self, tenant: ApiServer, body: bytes, as_: str = "json") -> None:
        answer = tenant.answer("POST", KIND, TENANT, body=body, as_=as_)
        assert answer.status_code < 500, answer.text
        self.answers[answer.status_code] += 1

    def _make_metrics(self, tenant: ApiServer, answer: str, port: int) -> None:
        """An object with hostile pods that are ready, so that they are asked."""
        scaling = {"minReplicas": 1, "metrics": METRICS}
        tenant.create(api(TENANT, answer, monitoring={"port": port}, autoscaling=scaling))
        for number in range(self.size.pods):
            made = pod(TENANT, answer, f"{answer}-{number}", number)
            tenant.create(made)
            self._pods.append(made["metadata"]["name"])
            ready = {"type": "Ready", "status": "True"}
            self._report(made["metadata"]["name"], {"podIP": HOST, "podIPs": [{"ip": HOST}], "conditions": [ready]})

    def _make_large_pod(self, tenant: ApiServer, number: int) -> None:
        """Of characters that take six times the room in JSON; more than a request may have, for which it takes two."""
        made = pod(TENANT, OF_LARGE_PODS, f"large-{number}", number)
        made["spec"]["containers"][0]["env"] = [{"name": "V", "value": "\x01" * 480_000}]
        tenant.create(made)
        name = made["metadata"]["name"]
        tenant.patch("Pod", TENANT, name, {"metadata": {"annotations": {"note": "\x01" * 260_000}}})
        self._pods.append(name)
        self._report(name, next(self._reports))

    def _report(self, name: str, status: Manifest) -> None:
        """As the kubelet would, which takes the texts of the pod as they are; some cannot be stored."""
        body = json.dumps({"status": status}).encode()
        self.near.server.answer("PATCH", "Pod", TENANT, f"{name}/status", body=body, as_=MERGE)

    def _change(self, tenant: ApiServer) -> None:
        """Something about an object or a pod that may be there."""
        draft, other = self._random.choices(self._drafts, k=2)
        match self._random.randrange(4):
            case 0 if other.as_ == "json":
                body = json.dumps({"spec": json.loads(other.body)["spec"]}).encode()
                tenant.answer("PATCH", KIND, TENANT, draft.name, body=body, as_=MERGE)
            case 1:
                tenant.answer("DELETE", KIND, TENANT, draft.name)
                self._send(tenant, draft.body, draft.as_)
            case 2:
                self._report(self._random.choice(self._pods), next(self._reports))
            case _:
                self._edit(tenant, draft)

    def _edit(self, tenant: ApiServer, draft: Draft) -> None:
        body = {"spec": {"port": self._random.randrange(1, 65536)}}
        tenant.answer("PATCH", KIND, TENANT, draft.name, body=body, as_=MERGE)


def _large_object(number: int) -> bytes:
    """What cannot be compressed, as much as can be stored."""
    variables = [{"name": f"V{nth}", "value": _noise(30_000)} for nth in range(36)]
    replicas = {"replicas": number % 2, "autoscaling": {"mode": "Disabled"}}
    return json.dumps(api(TENANT, f"large-{number}", env=variables, **replicas)).encode()


def _noise(length: int) -> str:
    return base64.b64encode(random.randbytes(length))[:length].decode()
