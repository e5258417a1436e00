"""The parts of the object that bring requests to the pods."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from hca_operator.api.schema import Rule, SpecModel
from hca_operator.api.types import DnsSubdomain, Port


class Service(SpecModel):
    """The Service in front of the pods."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """ClusterIP: reachable within the cluster only. NodePort: on a port of every node too. LoadBalancer: by a load \
balancer of the cloud too."""
    port: Port = 80
    """Port of the Service."""


class Tls(SpecModel):
    """TLS settings of a host."""

    secret_name: DnsSubdomain
    """Secret of type kubernetes.io/tls with the certificate and key, in the same namespace."""


class Route(SpecModel):
    """A host and path whose requests reach this API."""

    host: Annotated[
        str,
        StringConstraints(
            pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253
        ),
    ]
    """Host name, such as shop.example.com or *.example.com."""
    path: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9/_.~%@!&()+,=-]*$", max_length=512)] = "/"
    """Path or path prefix of the requests."""
    path_type: Literal["Prefix", "Exact"] = "Prefix"
    """Prefix: path and everything below it. Exact: path alone."""
    tls: Tls | None = None
    """TLS settings of the host. Default: HTTP only."""


class IngressOptions(SpecModel):
    """Ingress controller that serves the routes."""

    class_name: DnsSubdomain | None = None
    """Name of the IngressClass. Default: the platform team's; without one, the default class of the cluster."""


class Traffic(SpecModel):
    """Routes from outside the cluster."""

    ingress: IngressOptions = IngressOptions()
    """Ingress controller that serves the routes."""
    routes: Annotated[list[Route], Field(max_length=32)] = []  # noqa: RUF012 - frozen model
    """Hosts and paths. Without routes, the API is reachable only through its Service."""

    rules = (
        Rule(
            cel="!has(self.routes) || self.routes.all(a, self.routes.exists_one(b, a.host == b.host && "
            "(has(a.path) && has(b.path) ? a.path == b.path : "
            "(!has(a.path) || a.path == '/') && (!has(b.path) || b.path == '/'))))",
            message="routes must not repeat a host with the same path",
            check=lambda t: len({(r.host, r.path) for r in t.routes}) == len(t.routes),
            field_path=".routes",
        ),
    )
