"""The command line of the operator and the metrics server.

`run` starts the operator, `metrics` the server of external.metrics.k8s.io for HorizontalPodAutoscalers; `render`, `crd`
and `reference` print manifests and documentation.
"""

import argparse
import asyncio
import logging
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hca_operator import __version__
from hca_operator.api.crd import crd
from hca_operator.api.fleet_policy import NO_POLICY, FleetPolicy, parse_policy
from hca_operator.api.reference import reference
from hca_operator.core.errors import CannotStart, HcaError, SpecError
from hca_operator.core.names import API_VERSION, KIND, Manifest
from hca_operator.reconcile.resolve import DEFAULT_CAPABILITIES, Capabilities, Refused, resolve
from hca_operator.scaling.capabilities import OFF, ExternalMetrics

logger = logging.getLogger(__name__)

UNSTORED_UID = "00000000-0000-0000-0000-000000000000"
"""Stands for the uid that the API server gives when the object is stored."""


class _Dumper(yaml.SafeDumper):
    """YAML for people: no anchors for values that happen to be the same object."""

    def ignore_aliases(self, _data: Any) -> bool:  # noqa: ANN401
        return True


def to_yaml(*manifests: Manifest) -> str:
    """Manifests as a YAML stream."""
    return yaml.dump_all(manifests, Dumper=_Dumper, sort_keys=False, width=120, explicit_start=len(manifests) > 1)


def render(
    text: str, policy: FleetPolicy = NO_POLICY, capabilities: Capabilities = DEFAULT_CAPABILITIES
) -> list[Manifest]:
    """The children of every HighConcurrencyApi in a YAML stream, as an operator with these capabilities applies them.

    Raises SpecError for what the API server would refuse, unknown fields included, and for what the policy does.
    """
    children: list[Manifest] = []
    for manifest in yaml.safe_load_all(text):
        if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
            continue
        if manifest.get("apiVersion") != API_VERSION:
            raise SpecError(f"apiVersion: must be {API_VERSION}, not {manifest.get('apiVersion')}")
        metadata = {"name": "", "namespace": "default"} | (manifest.get("metadata") or {}) | {"uid": UNSTORED_UID}
        resolved = resolve({**manifest, "metadata": metadata}, policy, capabilities, unknown_fields="forbid")
        if isinstance(resolved, Refused):
            raise SpecError(resolved.problem.message)
        children += [child.manifest for child in resolved.children if child.manifest is not None]
    if not children:
        raise SpecError(f"no object of kind {KIND} found")
    return children


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "run":
        return _run(options)
    if options.command == "metrics":
        return _metrics(options)
    if options.command == "crd":
        print(to_yaml(crd()), end="")
        return 0
    if options.command == "reference":
        print(reference(), end="")
        return 0
    return _render(options)


def read_policy(file: str | None) -> FleetPolicy:
    """The fleet policy in a YAML file; without a file, the empty policy. Raises CannotStart."""
    if file is None:
        return NO_POLICY
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"cannot read the policy {file}: {error}") from None
    return parse_policy(text, file)


def _render(options: argparse.Namespace) -> int:
    file = options.file
    external = ExternalMetrics(
        None if options.external_metrics else OFF, reads_ingress=options.reads_ingress, queries=options.custom_queries
    )
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        print(to_yaml(*render(text, read_policy(options.policy), Capabilities(external))), end="")
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1
    except SpecError as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 1
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        print(f"cannot read {file}: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> int:
    # Imported here: render and crd are quicker without kopf and the Kubernetes client.
    from hca_operator.controller.process import Settings, run  # noqa: PLC0415
    from hca_operator.kube.leader_election import Candidate  # noqa: PLC0415
    from hca_operator.telemetry.logs import log_json  # noqa: PLC0415

    log_json(options.log_level.upper())
    candidate = Candidate(
        options.lease_namespace, options.lease_name, options.identity, namespaced=options.own_namespace_only
    )
    try:
        policy = read_policy(options.policy)
        settings = Settings(
            candidate,
            policy,
            port=options.port,
            unasked_rollouts=options.unasked_rollouts,
            watch_secrets=options.watch_secrets,
            external_metrics=options.external_metrics,
            reads_ingress=options.reads_ingress,
            custom_queries=options.custom_queries,
        )
        asyncio.run(run(settings))
    except HcaError as error:
        logger.error("the operator ends: %s", error)
        return 1
    return 0


def _metrics(options: argparse.Namespace) -> int:
    # Imported here for the same reason.
    from hca_operator.metrics_server.ingress.reader import IngressPods  # noqa: PLC0415
    from hca_operator.metrics_server.process import PrometheusSettings, Settings, run  # noqa: PLC0415
    from hca_operator.telemetry.logs import log_json  # noqa: PLC0415

    log_json(options.log_level.upper())
    ingress = None
    if options.ingress_namespace:
        ingress = IngressPods(
            options.ingress_namespace, options.ingress_selector, options.ingress_port, options.ingress_path
        )
    prometheus = PrometheusSettings(options.prometheus_url, options.prometheus_secret, options.custom_queries)
    settings = Settings(
        options.namespace,
        options.name,
        port=options.port,
        telemetry_port=options.telemetry_port,
        prometheus=prometheus if options.prometheus_url else None,
        ingress=ingress,
    )
    try:
        asyncio.run(run(settings))
    except HcaError as error:
        logger.error("the metrics API ends: %s", error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hca-operator", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="reconcile the cluster that the service account or kubeconfig points to")
    run.add_argument("--port", type=int, default=8080, help="port of /healthz, /readyz and /metrics (%(default)s)")
    run.add_argument("--lease-namespace", default="default", help="namespace of the Lease (%(default)s)")
    run.add_argument("--lease-name", default="hca-operator", help="Lease for leader election (%(default)s)")
    run.add_argument(
        "--identity", default=f"{platform.node()}-{os.getpid()}", help="identity in the Lease (%(default)s)"
    )
    run.add_argument(
        "--own-namespace-only",
        action="store_true",
        help="manage only the objects in the namespace of the Lease; this needs only a Role",
    )
    run.add_argument(
        "--unasked-rollouts", type=int, default=3, metavar="N",
        help="how many APIs may roll out at a time without a change by a user, for example after an upgrade of the "
        "operator; 0: none (%(default)s)",
    )  # fmt: skip
    run.add_argument(
        "--watch-secrets",
        action="store_true",
        help="restart pods when Secrets change, too; needs the right to read Secrets",
    )
    run.add_argument(
        "--external-metrics", metavar="SERVICE",
        help="Service of the metrics server in the namespace of the Lease; absent: the install has none",
    )  # fmt: skip
    run.add_argument(
        "--reads-ingress",
        action="store_true",
        help="that Service reads metrics of the ingress, too (its --ingress-* options)",
    )
    run.add_argument(
        "--custom-queries", action="store_true", help="that Service sends the queries of objects to Prometheus, too"
    )
    metrics = commands.add_parser("metrics", help="serve external.metrics.k8s.io to HorizontalPodAutoscalers")
    metrics.add_argument("--namespace", required=True, help="namespace of the Service and the Secret")
    metrics.add_argument(
        "--name", required=True,
        help="name of the Service of this server, the Secret with its certificate, and the ClusterRole of the install",
    )  # fmt: skip
    metrics.add_argument("--port", type=int, default=8443, help="port of the API and of its Service (%(default)s)")
    metrics.add_argument("--telemetry-port", type=int, default=8080, help="port of /metrics (%(default)s)")
    _add_ingress(metrics)
    metrics.add_argument(
        "--prometheus-url", default="", metavar="URL",
        help="Prometheus from which the metrics of pods are read; absent: the pods are scraped",
    )  # fmt: skip
    metrics.add_argument(
        "--prometheus-secret", type=Path, metavar="FOLDER",
        help="folder with the files token, or username and password, and ca.crt, as far as Prometheus needs them",
    )  # fmt: skip
    metrics.add_argument("--custom-queries", action="store_true", help="send the queries of objects to Prometheus, too")
    for command in (run, metrics):
        command.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    show = commands.add_parser("render", help="print the objects that the operator would apply")
    for command in (run, show):
        command.add_argument("--policy", metavar="FILE", help="YAML file with the content of the chart value apis")
    show.add_argument("-f", "--file", required=True, help="YAML file with HighConcurrencyApi objects, - for stdin")
    show.add_argument(
        "--external-metrics", action=argparse.BooleanOptionalAction, default=True,
        help="whether the install serves external.metrics.k8s.io, the chart value externalMetrics.enabled (yes)",
    )  # fmt: skip
    show.add_argument(
        "--reads-ingress", action="store_true", help="the install has the chart value externalMetrics.ingress"
    )
    show.add_argument(
        "--custom-queries", action="store_true", help="the install has the chart value prometheus.customQueries"
    )
    commands.add_parser("crd", help="print the CustomResourceDefinition")
    commands.add_parser("reference", help="print the reference of every field as Markdown")
    return parser


def _add_ingress(metrics: argparse.ArgumentParser) -> None:
    metrics.add_argument(
        "--ingress-namespace", metavar="NAMESPACE",
        help="namespace of the Envoy pods whose statistics are read for objects with monitoring.source: Ingress; "
        "absent: none are read",
    )  # fmt: skip
    metrics.add_argument("--ingress-selector", default="app=envoy", help="labels of their pods (%(default)s)")
    metrics.add_argument("--ingress-port", type=int, default=8002, help="port of their statistics (%(default)s)")
    metrics.add_argument("--ingress-path", default="/stats/prometheus", help="path of their statistics (%(default)s)")
