"""A Debian image, whether a registry has it or not."""

from dev import debian, node_image, plan
from dev.node_image import Base
from dev.steps import Step

PULLED_WITHIN = 60.0


def have(step: Step, base: Base) -> str:
    """Have the image in Docker and return its name: from a registry, else made from Debian's packages."""
    if not node_image.exists(step, base.image) and not step.succeeds(
        "docker", "pull", base.image, timeout=PULLED_WITHIN
    ):
        debian.ensure(step, plan.IMAGE_BUILDER)
        node_image.make_base(step, base)
    return base.image
