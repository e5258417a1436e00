"""The Deployment."""

from typing import Any

from hca_operator.api.pod import Resources
from hca_operator.api.spec import ApiObject, HighConcurrencyApiSpec
from hca_operator.core.names import CONTAINER, MANAGED_BY, MANAGED_BY_LABEL, PORT_NAME, Manifest
from hca_operator.core.quantities import decimal_text, memory_text, parse_quantity
from hca_operator.desired.metadata import child_metadata, stable_selector
from hca_operator.desired.servers import environment
from hca_operator.desired.sizing import Sizing
from hca_operator.desired.volumes import mounts, scratch_volumes, volumes

SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"


def deployment(api: ApiObject, sizing: Sizing) -> Manifest:
    """The Deployment of the stable track, without `replicas`: who owns the count is decided in `reconcile`."""
    spec = api.spec
    labels = stable_selector(api.name)
    # Scratch space is no reason for the cluster autoscaler to keep a node; volumes of the object's own may be one.
    own_volumes = ",".join(volume["name"] for volume in scratch_volumes(spec))
    template: Manifest = {
        "metadata": {
            "annotations": {SAFE_TO_EVICT: own_volumes, **spec.pod_annotations},
            "labels": {
                **spec.pod_labels,
                **labels,
                MANAGED_BY_LABEL: MANAGED_BY,
                "app.kubernetes.io/name": api.name,
            },
        },
        "spec": _pod(api, sizing),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": child_metadata(api, api.name),
        "spec": {
            "selector": {"matchLabels": labels},
            # A new pod is ready before an old one goes: nothing is dropped and no capacity is lost meanwhile.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "progressDeadlineSeconds": sizing.progress_deadline,
            "revisionHistoryLimit": 5,
            "template": template,
        },
    }


def _pod(api: ApiObject, sizing: Sizing) -> Manifest:
    spec = api.spec
    pod: Manifest = {
        # Named even where it is the default: left out, the last name stays in its deprecated twin, `serviceAccount`.
        "serviceAccountName": spec.service_account_name or "default",
        # The API does not talk to Kubernetes unless it brings an account of its own.
        "automountServiceAccountToken": spec.service_account_name is not None,
        "enableServiceLinks": False,  # one variable for each Service of the namespace would leak into the app
        "terminationGracePeriodSeconds": sizing.grace,
        "securityContext": _pod_security(spec),
        "containers": [_container(spec, sizing)],
        "volumes": volumes(spec),
    }
    optional: Manifest = {
        "imagePullSecrets": [{"name": secret.name} for secret in spec.image_pull_secrets],
        "nodeSelector": dict(spec.node_selector),
        "tolerations": [t.model_dump(by_alias=True, exclude_none=True) for t in spec.tolerations],
        "priorityClassName": spec.priority_class_name,
        "topologySpreadConstraints": _spread(api),
    }
    return pod | {key: value for key, value in optional.items() if value}


def _container(spec: HighConcurrencyApiSpec, sizing: Sizing) -> Manifest:
    container: Manifest = {
        "name": CONTAINER,
        "image": spec.image,
        "ports": [{"name": PORT_NAME, "containerPort": spec.port, "protocol": "TCP"}],
        "env": environment(spec, sizing),
        "resources": _resources(sizing.resources),
        "securityContext": _container_security(spec),
        # Why a container ended is in its status then, where diagnosis finds it: no right to read logs is needed.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        # Keeps serving while the balancers learn that the pod is going; only then does the server get SIGTERM.
        "lifecycle": {"preStop": {"sleep": {"seconds": sizing.pre_stop}}},
        "volumeMounts": mounts(spec),
        **_probes(spec, sizing),
    }
    optional: Manifest = {
        "imagePullPolicy": spec.image_pull_policy,
        "command": spec.command,
        "args": spec.args,
        "envFrom": [source.model_dump(by_alias=True, exclude_none=True) for source in spec.env_from],
    }
    return container | {key: list(v) if isinstance(v, list) else v for key, v in optional.items() if v}


def _resources(resources: Resources) -> Manifest:
    """Requests and limits in canonical form, so that `2`, `"2"` and `2000m` are the same pod.

    A request that is absent is the limit, as in Kubernetes; written out because the autoscaler needs it.
    """
    requests, limits = resources.requests, resources.limits
    result: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
    if cpu := requests.cpu or limits.cpu:
        result["requests"]["cpu"] = decimal_text(parse_quantity(cpu))
    result["requests"]["memory"] = memory_text(parse_quantity(requests.memory or limits.memory))
    if limits.cpu:
        result["limits"]["cpu"] = decimal_text(parse_quantity(limits.cpu))
    result["limits"]["memory"] = memory_text(parse_quantity(limits.memory))
    return result


def _probes(spec: HighConcurrencyApiSpec, sizing: Sizing) -> Manifest:
    health = spec.health
    ready = {"httpGet": {"path": health.readiness_path, "port": PORT_NAME}}
    alive: dict[str, Any] = {"tcpSocket": {"port": PORT_NAME}}
    if health.liveness_path:
        alive = {"httpGet": {"path": health.liveness_path, "port": PORT_NAME}}
    timing = {
        "periodSeconds": health.period_seconds,
        "timeoutSeconds": health.timeout_seconds,
        "failureThreshold": health.failure_threshold,
    }
    return {
        # Each second, so that a pod serves as soon as it can; it ends the pod only when the start-up time is over.
        "startupProbe": alive
        | {"periodSeconds": 1, "timeoutSeconds": health.timeout_seconds, "failureThreshold": sizing.startup_timeout},
        "readinessProbe": ready | timing,
        "livenessProbe": alive | timing,
    }


def _pod_security(spec: HighConcurrencyApiSpec) -> Manifest:
    security = spec.pod_security
    context: Manifest = {"seccompProfile": {"type": "RuntimeDefault"}}
    if security.profile == "Restricted":
        context["runAsNonRoot"] = True
    if security.run_as_user is not None:
        context["runAsUser"] = security.run_as_user
    if security.fs_group is not None:
        context["fsGroup"] = security.fs_group
    if security.sysctls:
        context["sysctls"] = [each.model_dump(by_alias=True) for each in security.sysctls]
    return context


def _container_security(spec: HighConcurrencyApiSpec) -> Manifest:
    context: Manifest = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": spec.pod_security.read_only_root_filesystem,
    }
    if spec.pod_security.profile == "Restricted":
        context["capabilities"] = {"drop": ["ALL"]}
    return context


def _spread(api: ApiObject) -> list[Manifest]:
    spread = api.spec.availability.spread
    if spread == "None":
        return []
    # Zones stay a preference even where nodes are required: without zone labels no pod could be scheduled at all.
    by_node: Manifest = {"whenUnsatisfiable": "ScheduleAnyway"}
    if spread == "Required":
        # A node whose taints keep the pods away, such as one of the control plane or a cordoned one, counts as one with
        # no pod unless taints are honoured: no other node could then get a second pod.
        by_node = {"whenUnsatisfiable": "DoNotSchedule", "nodeTaintsPolicy": "Honor"}
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            **unsatisfiable,
            "labelSelector": {"matchLabels": stable_selector(api.name)},
            "matchLabelKeys": ["pod-template-hash"],  # a rollout spreads its own pods, not beside the old ones
        }
        for key, unsatisfiable in (
            ("topology.kubernetes.io/zone", {"whenUnsatisfiable": "ScheduleAnyway"}),
            ("kubernetes.io/hostname", by_node),
        )
    ]
