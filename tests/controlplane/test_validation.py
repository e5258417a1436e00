"""The API server's verdict on a spec and the models' are the same, and nothing is stored that was refused."""

from typing import Any

import pytest
import yaml

from dev.cache import REPOSITORY
from hca_operator.api.spec import parse_object
from hca_operator.core.errors import SpecError
from hca_operator.desired.children import desired_children
from hca_operator.desired.sizing import size
from tests.controlplane.accepted_specs import ACCEPTED
from tests.controlplane.api_server import ApiServer, Manifest
from tests.controlplane.objects import KIND, api
from tests.controlplane.refused_specs import REFUSED
from tests.controlplane.verdicts import models_accept, refused_by_both

NAME = (
    "metadata.name must be at most 52 characters: lower-case letters, digits and '-', starting with a letter "
    "(it names the Service too)"
)


@pytest.mark.parametrize("fields", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_right_is_accepted_by_both_and_its_children_too(
    fields: Manifest, server: ApiServer, shared_namespace: str
) -> None:
    written = api(shared_namespace, **fields)
    answer = server.answer("POST", KIND, shared_namespace, body=written, fieldValidation="Strict", dryRun="All")
    assert answer.status_code == 201, answer.text
    assert models_accept(written)
    stored = parse_object(answer.json())
    assert stored.spec == parse_object({**written, "metadata": answer.json()["metadata"]}).spec
    try:
        sizing = size(stored.spec)
    except SpecError:
        return  # more CPU than memory for its workers: a condition says so
    for child in desired_children(stored, sizing):
        if child.manifest is not None:
            server.apply(child.manifest, dryRun="All")


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_refused_by_both_with_what_is_right_and_nothing_is_stored(
    fields: Manifest, message: str, server: ApiServer, shared_namespace: str
) -> None:
    refused_by_both(server, shared_namespace, fields, message)


@pytest.mark.parametrize("name", ["a", "a" * 52, "shop-2", "a--b"])
def test_a_name_that_a_service_can_have_is_accepted_by_both(
    name: str, server: ApiServer, shared_namespace: str
) -> None:
    assert (
        server.answer("POST", KIND, shared_namespace, body=api(shared_namespace, name), dryRun="All").status_code == 201
    )
    assert models_accept(api(shared_namespace, name))


@pytest.mark.parametrize("name", ["a" * 53, "1shop", "shop.v2"])
def test_fault_07_a_name_that_no_service_can_have_is_refused_by_both(
    name: str, server: ApiServer, shared_namespace: str
) -> None:
    answer = server.answer("POST", KIND, shared_namespace, body=api(shared_namespace, name))
    assert answer.status_code == 422
    assert NAME in answer.json()["message"]
    assert not models_accept(api(shared_namespace, name))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_accepted(path: Any, server: ApiServer, shared_namespace: str) -> None:
    for manifest in yaml.safe_load_all(path.read_text()):
        if manifest["kind"] == KIND:
            answer = server.answer(
                "POST", KIND, shared_namespace, body=manifest, fieldValidation="Strict", dryRun="All"
            )
            assert answer.status_code == 201, answer.text
