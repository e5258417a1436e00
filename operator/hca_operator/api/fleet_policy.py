"""What a platform team sets once for every object of the install: defaults, limits and isolation.

A default can only be for what the schema leaves open: the API server writes the schema's own defaults into each object
as it is stored, so a field that has one is never absent.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, Field, StringConstraints, ValidationError, model_validator

from hca_operator.api.pod import PullPolicy, PullSecrets, Resources, Tolerations
from hca_operator.api.scaling import MAX_REPLICAS
from hca_operator.api.schema import SpecModel
from hca_operator.api.spec import ApiObject, HighConcurrencyApiSpec, describe
from hca_operator.api.traffic import IngressOptions, Traffic
from hca_operator.api.types import LABEL_KEY, Annotations, Cpu, DnsSubdomain, Labels, Memory
from hca_operator.core.errors import CannotStart, LimitExceeded
from hca_operator.core.quantities import parse_quantity

ROOT = "apis"
"""The chart value whose content the policy file is."""

AnnotationKey = Annotated[str, StringConstraints(pattern=f"^({LABEL_KEY}|[a-z0-9]([-.a-z0-9]*[a-z0-9])?/)$")]


class TrafficDefaults(SpecModel):
    """For objects that leave open how requests come in."""

    ingress: IngressOptions = IngressOptions()
    """Ingress controller that serves the routes."""


class Defaults(SpecModel):
    """Fields of an object's spec, for objects that leave them open; of a map, the object's own keys win."""

    traffic: TrafficDefaults = TrafficDefaults()
    """Routes from outside the cluster."""
    image_pull_policy: PullPolicy | None = None
    """When the image is pulled."""
    image_pull_secrets: PullSecrets = []  # noqa: RUF012 - frozen model
    """Secrets for the image registry, which must be there in the namespace of each object."""
    node_selector: Labels = {}  # noqa: RUF012 - frozen model
    """Labels that a node must have to run the pods."""
    tolerations: Tolerations = []  # noqa: RUF012 - frozen model
    """Taints of nodes that the pods tolerate."""
    priority_class_name: DnsSubdomain | None = None
    """PriorityClass of the pods."""
    pod_labels: Labels = {}  # noqa: RUF012 - frozen model
    """Additional labels of the pods."""
    pod_annotations: Annotations = {}  # noqa: RUF012 - frozen model
    """Additional annotations of the pods."""


class FleetLimits(SpecModel):
    """What no object may go beyond. An absent limit is none."""

    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    """Pods of one API at most."""
    cpu: Cpu | None = None
    """Cores of one pod at most: its limit, or its request where it has no limit."""
    memory: Memory | None = None
    """Memory of one pod at most."""
    ingress_class_names: Annotated[list[DnsSubdomain], Field(min_length=1, max_length=64)] | None = None
    """The only ingress classes that routes may use."""
    annotation_keys: Annotated[list[AnnotationKey], Field(max_length=64)] | None = None
    """The only keys that an object's podAnnotations may have: exact ones, and prefixes that end in a slash."""


class Isolation(SpecModel):
    """Whether the pods of an API take connections on its port alone."""

    enabled: bool = True
    """Whether each API gets a NetworkPolicy."""


class FleetPolicy(SpecModel):
    """What holds for every object."""

    defaults: Defaults = Defaults()
    """For what an object leaves open."""
    limits: FleetLimits = FleetLimits()
    """What no object may go beyond."""
    network_policy: Isolation = Isolation()
    """Isolation of the pods."""

    @model_validator(mode="after")
    def _default_class_is_allowed(self) -> Self:
        default, allowed = self.defaults.traffic.ingress.class_name, self.limits.ingress_class_names
        if default is not None and allowed is not None and default not in allowed:
            raise ValueError(
                f"defaults.traffic.ingress.className is {default}, which limits.ingressClassNames does not allow: "
                "add it there, or choose one of its names"
            )
        return self


NO_POLICY = FleetPolicy()
"""What holds where no file says anything."""


def parse_policy(text: str, source: str) -> FleetPolicy:
    """The policy in the text of a YAML file, an empty one included. Raises CannotStart naming each wrong key."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CannotStart(f"{source} is not YAML: {' '.join(str(error).split())}") from None
    try:
        content = {} if content is None else content
        return FleetPolicy.model_validate(content, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as error:
        raise CannotStart(f"{source}: {describe(error, ROOT)}") from None


def apply(policy: FleetPolicy, api: ApiObject) -> ApiObject:
    """The object with the defaults for what it leaves open. Raises LimitExceeded, naming each limit it goes beyond."""
    spec: HighConcurrencyApiSpec = _filled(api.spec, policy.defaults)
    breaches = [
        *_too_many_pods(policy.limits, spec),
        *_too_large("cpu", policy.limits.cpu, spec.resources),
        *_too_large("memory", policy.limits.memory, spec.resources),
        *_other_ingress_class(policy.limits, spec.traffic),
        # As written: annotations of the platform team's own are not for the objects to choose.
        *_other_annotations(policy.limits, api.spec),
    ]
    if breaches:
        raise LimitExceeded("; ".join(breaches))
    return api.model_copy(update={"spec": spec})


def _filled(own: Any, default: Any) -> Any:  # noqa: ANN401 - a field of any type
    """A field with its default where it is open, which is None or empty."""
    if isinstance(default, BaseModel):
        names = type(default).model_fields
        return own.model_copy(update={name: _filled(getattr(own, name), getattr(default, name)) for name in names})
    if isinstance(default, dict):
        return {**default, **own}
    return own or default


def _too_many_pods(limits: FleetLimits, spec: HighConcurrencyApiSpec) -> Iterator[str]:
    """Only the field that decides is asked: the other one has a default in every stored object."""
    field, count = "spec.replicas", spec.replicas
    if spec.autoscaling.mode == "Horizontal":
        field, count = "spec.autoscaling.maxReplicas", spec.autoscaling.max_replicas
    if limits.max_replicas is not None and count > limits.max_replicas:
        yield _more(field, str(count), str(limits.max_replicas), "maxReplicas")


def _too_large(name: str, most: str | None, resources: Resources) -> Iterator[str]:
    field, asked = f"spec.resources.limits.{name}", getattr(resources.limits, name)
    if asked is None:
        field, asked = f"spec.resources.requests.{name}", getattr(resources.requests, name)
    if most is not None and asked is not None and parse_quantity(asked) > parse_quantity(most):
        yield _more(field, asked, most, name)


def _other_ingress_class(limits: FleetLimits, traffic: Traffic) -> Iterator[str]:
    """Absent is refused too: the cluster's default class may be any."""
    name, allowed = traffic.ingress.class_name, limits.ingress_class_names
    if traffic.routes and allowed is not None and name not in allowed:
        yield (
            f"spec.traffic.ingress.className: {name or 'absent'} is not one of the classes that are allowed here: "
            f"use {' or '.join(allowed)}, or {_ask('add to', 'ingressClassNames')}"
        )


def _other_annotations(limits: FleetLimits, spec: HighConcurrencyApiSpec) -> Iterator[str]:
    allowed = limits.annotation_keys
    if allowed is None:
        return
    prefixes = tuple(entry for entry in allowed if entry.endswith("/"))
    for key in spec.pod_annotations:
        if key not in allowed and not key.startswith(prefixes):
            yield (
                f"spec.podAnnotations: {key} is not one of the keys that are allowed here "
                f"({', '.join(allowed) or 'none'}): remove it, or {_ask('add to', 'annotationKeys')}"
            )


def _more(field: str, value: str, most: str, limit: str) -> str:
    return f"{field}: {value} is more than the {most} that is allowed here: lower it, or {_ask('raise', limit)}"


def _ask(change: str, limit: str) -> str:
    return f"ask the platform team to {change} the operator's chart value {ROOT}.limits.{limit}"
