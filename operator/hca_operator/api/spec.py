"""The object as users write it. The CRD is generated from these models (`hca_operator.api.crd`)."""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hca_operator.api.rules import SPEC_RULES
from hca_operator.api.schema import Rule
from hca_operator.api.spec_fields import SpecFields
from hca_operator.core.errors import SpecError
from hca_operator.core.names import MAX_NAME_LENGTH

_NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"
NAME_RULE = Rule(
    cel=f"self.metadata.name.size() <= {MAX_NAME_LENGTH} && self.metadata.name.matches('^{_NAME}$')",
    message=f"metadata.name must be at most {MAX_NAME_LENGTH} characters: "
    "lower-case letters, digits and '-', starting with a letter (it names the Service too)",
    check=lambda name: isinstance(name, str) and len(name) <= MAX_NAME_LENGTH and bool(re.fullmatch(_NAME, name)),
)


class HighConcurrencyApiSpec(SpecFields):
    """What the user wants: the fields and the rules between them."""

    rules = SPEC_RULES


class ApiObject(BaseModel):
    """A stored HighConcurrencyApi as far as the operator reads it."""

    model_config = ConfigDict(frozen=True)

    name: str
    namespace: str
    uid: str
    generation: int
    annotations: dict[str, str]
    spec: HighConcurrencyApiSpec


def parse_object(manifest: dict[str, Any], *, unknown_fields: Literal["ignore", "forbid"] = "ignore") -> ApiObject:
    """The typed object of a manifest from the API server.

    Raises SpecError, naming each field, where the object was stored before a rule existed that it breaks.
    """
    metadata = manifest["metadata"]
    try:
        NAME_RULE.enforce(metadata["name"])
        spec = HighConcurrencyApiSpec.model_validate(
            manifest.get("spec", {}), extra=unknown_fields, by_alias=True, by_name=False
        )
    except ValidationError as error:
        raise SpecError(describe(error, "spec")) from None
    except ValueError as error:
        raise SpecError(str(error)) from None
    return ApiObject(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        annotations=metadata.get("annotations") or {},
        spec=spec,
    )


def describe(error: ValidationError, root: str) -> str:
    """One sentence a field: where it is, from `root` on, and what is wrong with it."""
    parts = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        path = ".".join([root, *(str(step) for step in problem["loc"])])
        unknown = problem["type"] == "extra_forbidden"
        said = "unknown field, misspelt or in the wrong place" if unknown else problem["msg"]
        parts.append(f"{path}: {said.removeprefix('Value error, ')}")
    return "; ".join(parts)
