"""One life of an object: made, changed in ways that make and remove children and hand the count over, and ended."""

import uuid
from collections import Counter
from dataclasses import dataclass

from dev.control_plane import ControlPlane
from hca_operator.core.names import API_LABEL, REPLACED_LABEL
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.essence import births_and_deaths, counts_since, differences, essence
from tests.controlplane.fake_kubelet import report_ready, roll_out
from tests.controlplane.objects import DISABLED, KIND, ROUTES, api, children, conditions

PODS = 3
EDITS: tuple[Manifest, ...] = (
    ROUTES,
    DISABLED,
    {"traffic": {"routes": None}, "autoscaling": {"mode": "Horizontal"}},
)


@dataclass
class Journey:
    """The life of one object, step by step."""

    control_plane: ControlPlane
    server: ApiServer
    namespace: str
    name: str
    within: float = 60.0

    def begin(self) -> None:
        """Make the object, with as many pods as it will have all its life."""
        self._since = self.server.version("Deployment", self.namespace)
        self._audited_since = self.control_plane.audit_log.stat().st_size
        autoscaling = {"minReplicas": PODS}
        self.server.create(api(self.namespace, self.name, replicas=PODS, autoscaling=autoscaling))

    def edit(self, fields: Manifest) -> None:
        """Change the object."""
        self.server.patch(KIND, self.namespace, self.name, {"spec": fields})

    def nudge(self) -> None:
        """Send the operator an event of the unchanged object."""
        look = {"annotations": {"look": uuid.uuid4().hex}}
        self.server.patch(KIND, self.namespace, self.name, {"metadata": look})

    def serve(self) -> None:
        """Wait until the pods are ready: from then on, the operator looks only where an event leads."""
        roll_out(self.server, self.namespace, self.name)

    def replaced(self) -> None:
        """Wait until the pod that is being replaced has gone, while its successor gets ready."""

        def gone() -> bool:
            report_ready(self.server, self.namespace, f"{API_LABEL}={self.name}")
            return not self.server.find(
                "Pod", self.namespace, labelSelector=f"{API_LABEL}={self.name},{REPLACED_LABEL}"
            )

        eventually(gone, within=self.within)

    def settle(self) -> Manifest:
        """Wait until the operator has carried out the latest change; what there is then."""
        eventually(lambda: conditions(self.server, self.namespace, self.name), within=self.within)
        return essence(self.server, self.namespace, self.name)

    def settle_as(self, wanted: Manifest) -> None:
        """Wait until the operator has carried out the latest change, and everything is as wanted."""

        def same() -> bool:
            assert conditions(self.server, self.namespace, self.name)
            different = differences(essence(self.server, self.namespace, self.name), wanted)
            assert not different, different
            return True

        eventually(same, within=self.within)

    def counts(self) -> set[int]:
        """Every number of pods that there has ever been."""
        return set(counts_since(self.server, self._since, self.namespace, self.name))

    def end(self) -> None:
        """Delete the object, and wait until its children have gone with it."""
        self.server.delete(KIND, self.namespace, self.name)
        eventually(lambda: not children(self.server, self.namespace, self.name), within=self.within)

    def tallied(self, wanted: Counter[str]) -> bool:
        """Whether each child has been created and deleted as often as wanted; AssertionError otherwise."""
        assert self.tally() == wanted, differences(self.tally(), wanted)
        return True

    def tally(self) -> Counter[str]:
        """How often each child has been created and deleted until now."""
        return births_and_deaths(self.control_plane, self._audited_since, self.namespace, self.name)
