"""NetworkPolicies that have an effect on the local cluster, also where its pod network does not enforce them."""

from collections.abc import Iterator
from contextlib import contextmanager

from dev import tools
from tests.e2e.cluster import Cluster
from tests.e2e.prometheus import build_images

IMAGE = f"own-network-policies:{tools.NETWORK_POLICIES.version}"
NAME = "own-network-policies"
# The same program as in kind's own pod network. It decides about the first packet of each connection. These packets are
# handed to it by iptables, because the kernel may lack what it would use itself (NFT_QUEUE). Traffic between a node and
# its own pods is not forwarded, and so is never blocked.
MANIFEST = """
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {name}}}
rules:
- {{apiGroups: [""], resources: [pods, namespaces], verbs: [list, watch]}}
- {{apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}
subjects: [{{kind: ServiceAccount, name: {name}, namespace: kube-system}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: {name}, namespace: kube-system}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      hostNetwork: true
      serviceAccountName: {name}
      priorityClassName: system-node-critical
      terminationGracePeriodSeconds: 2
      tolerations: [{{operator: Exists}}]
      containers:
      - name: judge
        image: {image}
        args: [--hostname-override=$(NODE), --nfqueue-id=100, --disable-nri]
        env: [{{name: NODE, valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}}}]
        resources: {{requests: {{cpu: 100m}}}}
        securityContext: {{capabilities: {{add: [NET_ADMIN]}}}}
      - name: divert
        image: {iptables}
        imagePullPolicy: Never
        command:
        - bash
        - -c
        - |
          rule=(FORWARD -m conntrack --ctstate NEW -j NFQUEUE --queue-num 100 --queue-bypass)
          trap 'iptables -t mangle -D "${{rule[@]}}"; exit' TERM
          iptables -t mangle -C "${{rule[@]}}" || iptables -t mangle -A "${{rule[@]}}"
          sleep infinity & wait
        securityContext: {{capabilities: {{add: [NET_ADMIN]}}}}
"""


@contextmanager
def enforced(cluster: Cluster) -> Iterator[None]:
    """Have the NetworkPolicies of the cluster enforced until the end of the block."""
    if cluster.kubectl("get", "daemonset", "kindnet", "--namespace=kube-system", "--ignore-not-found"):
        yield  # kind's own pod network does it
        return
    build_images(tools.NETWORK_POLICIES, {IMAGE: tools.NETWORK_POLICIES.name})
    cluster.load_images([IMAGE])
    # Every node of our own image has this one, and it has iptables.
    iptables = f"registry.k8s.io/kube-proxy:{tools.KUBERNETES_TAG}"
    manifest = MANIFEST.format(name=NAME, image=IMAGE, iptables=iptables)
    try:
        cluster.apply(manifest)
        cluster.kubectl("rollout", "status", f"daemonset/{NAME}", "--namespace=kube-system", "--timeout=120s")
        yield
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=manifest)
