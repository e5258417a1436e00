"""Services and the Ingress."""

from typing import Any

from hca_operator.api.metrics import FROM_PODS
from hca_operator.api.spec import ApiObject
from hca_operator.api.traffic import Route
from hca_operator.core.names import PORT_NAME, Manifest
from hca_operator.desired.metadata import api_selector, child_metadata
from hca_operator.desired.sizing import Sizing

RETRIES = {"projectcontour.io/retry-on": "connect-failure", "projectcontour.io/num-retries": "2"}
"""A connection that was never made has carried nothing, so trying another pod is safe for every method.

Contour's annotations of an Ingress; nginx and Traefik do so by default, and ignore them.
"""
PARALLEL_RETRIES = {"projectcontour.io/max-retries": "1024"}
"""How many requests may be retried at a time, Contour's annotation of a Service; Envoy's default of 3 is spent at once
when a pod is gone that it still sends requests to. 1024 is its default for requests, so only they bound retries."""


def service(api: ApiObject, _sizing: Sizing) -> Manifest:
    """The Service that reaches every track; the one to use."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(api, api.name) | {"annotations": PARALLEL_RETRIES},
        "spec": {
            "type": api.spec.service.type,
            "selector": api_selector(api.name),
            "ports": [{"name": PORT_NAME, "port": api.spec.service.port, "targetPort": PORT_NAME, "protocol": "TCP"}],
        },
    }


def ingress(api: ApiObject, _sizing: Sizing) -> Manifest | None:
    """The Ingress of the routes; None without routes."""
    traffic = api.spec.traffic
    if not traffic.routes:
        return None
    paths_by_host: dict[str, list[Manifest]] = {}
    hosts_by_secret: dict[str, list[str]] = {}
    backend = {"service": {"name": api.name, "port": {"name": PORT_NAME}}}
    for route in traffic.routes:
        paths = paths_by_host.setdefault(route.host, [])
        paths.append({"path": route.path, "pathType": route.path_type, "backend": backend})
        if route.tls:
            hosts = hosts_by_secret.setdefault(route.tls.secret_name, [])
            if route.host not in hosts:
                hosts.append(route.host)
    spec: dict[str, Any] = {
        "rules": [{"host": host, "http": {"paths": paths}} for host, paths in paths_by_host.items()],
    }
    if traffic.ingress.class_name:
        spec["ingressClassName"] = traffic.ingress.class_name
    if hosts_by_secret:
        spec["tls"] = [{"secretName": secret, "hosts": hosts} for secret, hosts in hosts_by_secret.items()]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": child_metadata(api, api.name) | {"annotations": RETRIES},
        "spec": spec,
    }


def public_metrics(api: ApiObject) -> Route | None:
    """The first route that leads to the metrics of an object that is known to have some, None if none does."""
    monitoring, scaling = api.spec.monitoring, api.spec.autoscaling
    known = monitoring.source == "App" and any(metric.type in FROM_PODS for metric in scaling.metrics)
    if not known or monitoring.port not in {None, api.spec.port}:
        return None
    return next((route for route in api.spec.traffic.routes if _leads_to(route, monitoring.path)), None)


def _leads_to(route: Route, path: str) -> bool:
    """Kubernetes takes a prefix element by element: /v1 leads to /v1/metrics, and not to /v1metrics."""
    return route.path == path or (route.path_type == "Prefix" and path.startswith(route.path.removesuffix("/") + "/"))


def url(api: ApiObject) -> str:
    """Where the API answers: its first route, or its Service within the cluster."""
    if not api.spec.traffic.routes:
        port = api.spec.service.port
        return f"http://{api.name}.{api.namespace}.svc" + ("" if port == 80 else f":{port}")
    route = api.spec.traffic.routes[0]
    return f"{'https' if route.tls else 'http'}://{route.host}{route.path}"
