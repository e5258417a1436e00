"""Asks the API server what a user may do, by a SubjectAccessReview."""

from hca_operator.core.names import Manifest
from hca_operator.core.ports import Creator


async def allows(server: Creator, subject: Manifest, access: Manifest) -> bool:
    """Whether a user may do something. Raises HcaError if the review fails.

    `subject` and `access` are the two halves of the review's spec.
    """
    review = await server.create(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "metadata": {},
            "spec": {**subject, **access},
        }
    )
    # `denied` takes precedence over `allowed`.
    status = review.get("status") or {}
    return status.get("allowed") is True and not status.get("denied")
