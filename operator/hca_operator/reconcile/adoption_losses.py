"""What an adopted Deployment, Service or Ingress would lose, because the object has no field for it: pure.

Every field that the object cannot express is listed, so also one that a later Kubernetes release adds.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hca_operator.core.names import CONTAINER, Manifest

_POD_FIELDS = {
    "automountServiceAccountToken", "containers", "enableServiceLinks", "imagePullSecrets", "initContainers",
    "nodeSelector", "priority", "priorityClassName", "securityContext", "serviceAccount", "serviceAccountName",
    "terminationGracePeriodSeconds", "tolerations", "volumes",
}  # fmt: skip
"""Fields of a pod that the object can express, or that are compared one by one."""
_POD_DEFAULTS = {
    "dnsPolicy": "ClusterFirst",
    "preemptionPolicy": "PreemptLowerPriority",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
}
_POD_SECURITY = {"fsGroup", "runAsNonRoot", "runAsUser", "seccompProfile", "sysctls"}
_CONTAINER_FIELDS = {
    "args", "command", "env", "envFrom", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "name", "ports",
    "readinessProbe", "resources", "securityContext", "startupProbe", "terminationMessagePath",
    "terminationMessagePolicy", "volumeMounts",
}  # fmt: skip
_CONTAINER_SECURITY = {
    "allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem", "runAsNonRoot", "runAsUser", "seccompProfile",
}  # fmt: skip
_RESOURCES = {"cpu", "memory"}
_PROBES = {
    "livenessProbe": {"httpGet", "tcpSocket"},
    "readinessProbe": {"httpGet"},
    "startupProbe": {"httpGet", "tcpSocket"},
}
"""Probe handlers that the object can express."""
_HANDLERS = {"exec", "grpc", "httpGet", "tcpSocket"}
_ENV_SOURCES = {"configMapKeyRef", "fieldRef", "secretKeyRef"}
_MOUNT = {"mountPath", "name", "readOnly", "subPath"}
_VOLUMES = {"configMap", "emptyDir", "name", "persistentVolumeClaim", "projected", "secret"}
_PROJECTED = {"configMap", "secret"}


def losses(live: Manifest, desired: Manifest) -> list[str]:
    """Fields of a live Deployment, Service or Ingress that the desired one does not have; empty for other kinds."""
    if live["kind"] == "Deployment":
        return [*_of_deployment(live["spec"], desired["spec"])]
    if live["kind"] == "Service":
        return [*_of_service(live["spec"], desired["spec"])]
    return [*_of_ingress(live["spec"], desired["spec"])] if live["kind"] == "Ingress" else []


def _of_ingress(live: Manifest, desired: Manifest) -> Iterator[str]:
    if live.get("defaultBackend"):
        yield "defaultBackend"
    kept = set(_routes(desired))
    yield from (f"route {host}{path}" for host, path in _routes(live) if (host, path) not in kept)


def _routes(spec: Manifest) -> Iterator[tuple[str, str]]:
    for rule in spec.get("rules") or []:
        for path in _of(rule, "http").get("paths", []):
            yield rule.get("host", "*"), path.get("path", "/")


def _of_service(live: Manifest, desired: Manifest) -> Iterator[str]:
    (kept,) = ((port["port"], port["protocol"]) for port in desired["ports"])
    ports = [(port["port"], port.get("protocol", "TCP")) for port in live.get("ports", [])]
    for number, protocol in ports:
        hint = f" (set spec.service.port: {number} to keep it)" if kept not in ports and protocol == "TCP" else ""
        if (number, protocol) != kept:
            yield f"port {number}/{protocol}{hint}"
    kind = live.get("type", "ClusterIP")
    if kind != "ClusterIP" and desired["type"] == "ClusterIP":
        yield f"type {kind} (set spec.service.type: {kind})"


def _of_deployment(live: Manifest, desired: Manifest) -> Iterator[str]:
    if live.get("strategy", {}).get("type") == "Recreate":
        yield "strategy Recreate"
    if live.get("minReadySeconds"):
        yield "minReadySeconds"
    pod, wanted = live["template"].get("spec", {}), desired["template"]["spec"]
    yield from (f"init container {container['name']}" for container in pod.get("initContainers", []))
    (ours,) = wanted["containers"]
    port = ours["ports"][0]["containerPort"]
    containers = pod.get("containers", [])
    names = {CONTAINER, desired["template"]["metadata"]["labels"]["app.kubernetes.io/name"]}
    api = _api_container(containers, names, port)
    yield from (f"container {container['name']}" for container in containers if container is not api)
    yield from _others(pod, wanted, _POD_FIELDS, _POD_DEFAULTS)
    yield from _others(_of(pod, "securityContext"), {}, _POD_SECURITY, above="securityContext.")
    yield from (f"volume {volume['name']}" for volume in pod.get("volumes", []) if not _is_known_volume(volume))
    if api is not None:
        yield from _of_container(api, ours, port)


def _api_container(containers: Collection[Manifest], names: Collection[str], port: int) -> Manifest | None:
    """The container that becomes the API's: by its name, by its port, else the first."""
    named = [container for container in containers if container["name"] in names]
    listening = [
        container
        for container in containers
        if any(entry["containerPort"] == port for entry in container.get("ports", []))
    ]
    return next(iter([*named, *listening, *containers]), None)


def _of_container(live: Manifest, desired: Manifest, port: int) -> Iterator[str]:
    yield from _others(live, desired, _CONTAINER_FIELDS)
    security = _of(live, "securityContext")
    yield from _others(security, {}, _CONTAINER_SECURITY, above="container securityContext.")
    if _of(security, "capabilities").get("add"):
        yield "container securityContext.capabilities.add"
    for part in ("requests", "limits"):
        yield from _others(_of(_of(live, "resources"), part), {}, _RESOURCES, above=f"resources.{part}.")
    yield from _ports(live.get("ports", []), port)
    for name, known in _PROBES.items():
        probe = _of(live, name)
        yield from (f"{name}.{handler}" for handler in sorted(_HANDLERS & probe.keys() - known))
        request = _of(probe, "httpGet")
        yield from _others(request, {}, {"path", "port"}, {"scheme": "HTTP"}, above=f"{name}.httpGet.")
    for moment, action in sorted(_of(live, "lifecycle").items()):
        # Ours sleeps for as long as the balancers need.
        if moment != "preStop" or action.keys() != {"sleep"}:
            yield f"lifecycle.{moment}"
    for variable in live.get("env", []):
        yield from (f"env {variable['name']}" for _ in _of(variable, "valueFrom").keys() - _ENV_SOURCES)
    for mount in live.get("volumeMounts", []):
        yield from _others(mount, {}, _MOUNT, {"recursiveReadOnly": "Disabled"}, above=f"mount {mount['mountPath']} ")


def _ports(ports: Collection[Manifest], port: int) -> Iterator[str]:
    """The ports except one: spec.port, else the first TCP port, whose number may differ in the object's image."""
    tcp = [entry for entry in ports if entry.get("protocol", "TCP") == "TCP"]
    kept = next((entry for entry in tcp if entry["containerPort"] == port), next(iter(tcp), None))
    for entry in ports:
        if entry is not kept:
            yield f"port {entry['containerPort']}/{entry.get('protocol', 'TCP')}"


def _is_known_volume(volume: Manifest) -> bool:
    sources = _of(volume, "projected").get("sources", [])
    in_memory = _of(volume, "emptyDir").get("medium")
    return volume.keys() <= _VOLUMES and not in_memory and all(source.keys() <= _PROJECTED for source in sources)


def _others(
    live: Mapping[str, Any],
    desired: Mapping[str, Any],
    known: Collection[str],
    defaults: Mapping[str, Any] | None = None,
    above: str = "",
) -> Iterator[str]:
    """Fields that have a value, other than their default and the desired one, and are not among those known."""
    for name, value in sorted(live.items()):
        if name not in known and value and value not in ((defaults or {}).get(name), desired.get(name)):
            yield above + name


def _of(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = holder.get(name) or {}
    return found
