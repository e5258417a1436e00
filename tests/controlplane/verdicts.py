"""The two judges of a spec, the API server and the models, which must agree."""

from hca_operator.api.spec import parse_object
from hca_operator.core.errors import SpecError
from tests.controlplane.api_server import ApiServer, Manifest
from tests.controlplane.objects import KIND, api

Cases = dict[str, tuple[Manifest, str]]
"""Spec fields that are wrong, and what the API server answers."""


def models_accept(manifest: Manifest) -> bool:
    """Whether the operator would carry an object out."""
    with_uid = {**manifest, "metadata": {**manifest["metadata"], "uid": "x"}}
    try:
        parse_object(with_uid, unknown_fields="forbid")
    except SpecError:
        return False
    return True


def refused_by_both(server: ApiServer, namespace: str, fields: Manifest, message: str) -> None:
    """Nothing is stored, and the answer says what is right."""
    written = api(namespace, **fields)
    answer = server.answer("POST", KIND, namespace, body=written, fieldValidation="Strict")
    assert answer.status_code in {400, 422}, answer.text
    assert message in answer.json()["message"]
    assert not models_accept(written)
    assert not server.find(KIND, namespace)
