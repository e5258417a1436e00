"""A node that is only reported: every pod is put on it as it is made, and kwok says at once that it runs.

Without it thousands of pods would wait for ever, and the operator would look at them again and again. A scheduler
would do the same for more of the machine than is measured, hence the rule of admission.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev import tools
from dev.control_plane import ControlPlane

NODE = """
apiVersion: v1
kind: Node
metadata: {name: fake}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: on-the-fake-node}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: 'Object{spec: Object.spec{nodeName: "fake"}}'}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: on-the-fake-node}
spec: {policyName: on-the-fake-node}
"""
STAGES = """
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: node-is-ready}
spec:
  resourceRef: {apiGroup: v1, kind: Node}
  selector:
    matchExpressions:
    - {key: '.status.conditions.[] | select( .type == "Ready" ) | .status', operator: NotIn, values: ["True"]}
  next:
    statusTemplate: |
      conditions: [{type: Ready, status: "True", reason: Simulated, lastTransitionTime: {{ Now | Quote }}}]
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-is-ready}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: .status.phase, operator: In, values: [Pending]}
  next:
    statusTemplate: |
      phase: Running
      conditions: [{type: Ready, status: "True", lastTransitionTime: {{ Now | Quote }}}]
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-is-gone}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: Exists}
  next: {delete: true}
"""


@contextmanager
def fake_node(control_plane: ControlPlane) -> Iterator[None]:
    """Have every pod that is made meanwhile become ready."""
    stages, said = control_plane.folder / "stages.yaml", control_plane.folder / "kwok.log"
    stages.write_text(STAGES)
    command: list[str | Path] = [
        tools.KWOK.program(), "--kubeconfig", control_plane.kubeconfig, "--config", stages,
        "--manage-single-node=fake",
        "--node-lease-duration-seconds=40",  # without a Lease the node's pods would soon be reported lost
    ]  # fmt: skip
    with said.open("wb") as log:
        kwok = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        control_plane.kubectl("apply", "-f", "-", stdin=NODE)
        control_plane.kubectl("wait", "--for=condition=Ready", "node/fake", "--timeout=60s")
        yield
        assert kwok.poll() is None, f"kwok has ended: {said.read_text()[-1000:]}"
    finally:
        kwok.kill()
        kwok.wait()
