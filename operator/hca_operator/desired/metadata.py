"""Labels, selectors and owner of every child."""

from hca_operator.api.spec import ApiObject
from hca_operator.core.names import (
    API_LABEL,
    API_VERSION,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    STABLE,
    TRACK_LABEL,
    Manifest,
)


def api_selector(name: str) -> dict[str, str]:
    """Selects the pods of every track."""
    return {API_LABEL: name}


def stable_selector(name: str) -> dict[str, str]:
    """Selects the pods of the stable track; the Deployment's selector, immutable."""
    return {API_LABEL: name, TRACK_LABEL: STABLE}


def selector_text(labels: dict[str, str]) -> str:
    """A label selector as queries and the scale subresource take it."""
    return ",".join(f"{name}={value}" for name, value in labels.items())


MANAGED_SELECTOR = selector_text({MANAGED_BY_LABEL: MANAGED_BY})
"""Finds every child, and the pods, of all objects."""


def annotated(manifest: Manifest, name: str, value: str) -> Manifest:
    """An object, or a pod template, with one more annotation."""
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), name: value}}}


def with_template(deployment: Manifest, template: Manifest) -> Manifest:
    """The Deployment with another pod template."""
    return {**deployment, "spec": {**deployment["spec"], "template": template}}


def child_metadata(api: ApiObject, name: str) -> Manifest:
    """Metadata of a child: owned by the object, so that the garbage collector removes it without the operator.

    `blockOwnerDeletion` is false: true needs a further right and would hold up the owner's deletion.
    """
    return {
        "name": name,
        "namespace": api.namespace,
        "labels": {
            API_LABEL: api.name,
            MANAGED_BY_LABEL: MANAGED_BY,
            "app.kubernetes.io/name": api.name,
        },
        "ownerReferences": [owner_reference(api)],
    }


def owner_reference(api: ApiObject) -> Manifest:
    """The object as the controller of a child."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": api.name,
        "uid": api.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
