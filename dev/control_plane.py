"""A Kubernetes control plane without nodes, for tests that run no pods: real etcd, API server and controllers."""

import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from dev import tools
from dev.steps import ClusterError

STARTS_WITHIN = 120.0
HOST = "127.0.0.1"
LISTENED_ON = 10_000, 30_000
"""Ports below those that Linux gives to connections (net.ipv4.ip_local_port_range, from 32768 on)."""
# kubeadm refuses a loopback address for what it writes into certificates; nothing listens on this one.
NOWHERE = "192.0.2.1"

KUBEADM = """\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {{advertiseAddress: {nowhere}, bindPort: {port}}}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: {version}
controlPlaneEndpoint: "{host}:{port}"
apiServer: {{certSANs: ["{host}", localhost]}}
certificatesDir: {folder}/pki
# With RSA keys of 2048 bits, to make them and to prove to have them takes ten times as long.
encryptionAlgorithm: ECDSA-P256
"""
# With the default of 100 an eighth of the API server's processor time goes there.
LAZY_GARBAGE_COLLECTION = {"GOGC": "300"}
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""
# Every server joins this process's group. Its input ends when the test run does, however that ends, and then it ends
# the group: no server outlives a test run that was killed.
WATCHDOG = "import os, signal, sys; sys.stdin.read(); os.killpg(0, signal.SIGKILL)"


class ControlPlane:
    """The servers, from entering the context to leaving it."""

    def __init__(self, folder: Path, *, autoscalers_looked_at_each: str = "5s") -> None:
        self.folder = folder
        self._autoscalers_looked_at_each = autoscalers_looked_at_each
        self.audit_log = folder / "audit.log"
        self.kubeconfig = folder / "super-admin.conf"
        self.port, self._etcd_port, self._peer_port, self._controllers_port = free_ports(4)
        self._servers: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """Where the API server listens."""
        return f"https://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self._watchdog = subprocess.Popen(
            [sys.executable, "-c", WATCHDOG], stdin=subprocess.PIPE, process_group=0, cwd=self.folder
        )
        try:
            self._write_configuration()
            self._start_etcd()
            self.start_api_server()
            self._start_controllers()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def _end(self) -> None:
        os.killpg(self._watchdog.pid, signal.SIGKILL)
        for process in (*self._servers.values(), self._watchdog):
            process.wait()
        if self._watchdog.stdin:
            self._watchdog.stdin.close()

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator and return what it writes."""
        return _read(tools.KUBECTL.program(), "--kubeconfig", self.kubeconfig, *arguments, stdin=stdin)

    def audited(self, word: str, *, since: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the entries of the audit log in which a word stands, from a byte of it on."""
        with self.audit_log.open("rb") as log:
            if since:  # the log may have ended in the middle of an entry, which began before and is not wanted
                log.seek(since - 1)
                log.readline()
            for line in log:
                if word.encode() in line and line.endswith(b"\n"):  # the last one may be about to be written
                    yield json.loads(line)

    def kubeconfig_for(self, user: str, *groups: str) -> Path:
        """Return a kubeconfig with a client certificate for any user, so that a test can see what RBAC lets it do."""
        command = ["kubeconfig", "user", "--config", str(self._kubeadm_config), "--client-name", user]
        organizations = [option for group in groups for option in ("--org", group)]
        path = self.folder / f"{user.replace(':', '-').replace('/', '-')}.conf"
        path.touch(mode=0o600)
        path.write_text(_read(self._kubeadm, *command, *organizations))
        return path

    def start_api_server(self) -> None:
        """Start the API server, on the same port each time, and wait until it is ready."""
        pki = self.folder / "pki"
        self._start(
            tools.API_SERVER.program("kube-apiserver"),
            etcd_servers=f"http://{HOST}:{self._etcd_port}",
            secure_port=self.port,
            bind_address=HOST,
            advertise_address=NOWHERE,
            endpoint_reconciler_type="none",
            authorization_mode="RBAC",
            allow_privileged="true",
            client_ca_file=pki / "ca.crt",
            tls_cert_file=pki / "apiserver.crt",
            tls_private_key_file=pki / "apiserver.key",
            service_account_key_file=pki / "sa.pub",
            service_account_signing_key_file=pki / "sa.key",
            service_account_issuer="https://kubernetes.default.svc",
            service_cluster_ip_range="10.96.0.0/16",
            audit_policy_file=self.folder / "audit-policy.yaml",
            audit_log_path=self.audit_log,
            # What an aggregated API needs to know its callers.
            requestheader_client_ca_file=pki / "front-proxy-ca.crt",
            requestheader_allowed_names="front-proxy-client",
            requestheader_username_headers="X-Remote-User",
            requestheader_group_headers="X-Remote-Group",
            requestheader_extra_headers_prefix="X-Remote-Extra-",
            proxy_client_cert_file=pki / "front-proxy-client.crt",
            proxy_client_key_file=pki / "front-proxy-client.key",
        )
        self._await("kube-apiserver", self._is_ready)

    def stop_api_server(self) -> None:
        """End the API server at once, as a crash does."""
        process = self._servers.pop("kube-apiserver")
        process.kill()
        process.wait()

    @contextmanager
    def paused_api_server(self) -> Iterator[None]:
        """Let the API server accept connections but answer none, as a machine under memory pressure does."""
        process = self._servers["kube-apiserver"]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    @property
    def _kubeadm(self) -> Path:
        return tools.API_SERVER.program("kubeadm")

    @property
    def _kubeadm_config(self) -> Path:
        return self.folder / "kubeadm.yaml"

    def _write_configuration(self) -> None:
        self._kubeadm_config.write_text(
            KUBEADM.format(nowhere=NOWHERE, host=HOST, port=self.port, version=tools.KUBERNETES_TAG, folder=self.folder)
        )
        (self.folder / "audit-policy.yaml").write_text(AUDIT_POLICY)
        config = ("--config", self._kubeadm_config)
        _read(self._kubeadm, "init", "phase", "certs", "all", *config)
        for user in ("super-admin", "controller-manager"):
            _read(self._kubeadm, "init", "phase", "kubeconfig", user, *config, "--kubeconfig-dir", self.folder)
        controllers = self.folder / "controller-manager.conf"
        # kubeadm points the controllers at the address that nothing listens on.
        controllers.write_text(controllers.read_text().replace(NOWHERE, HOST))
        self.kubeconfig.write_text(self.kubeconfig.read_text().replace(NOWHERE, HOST))

    def _start_etcd(self) -> None:
        client = f"http://{HOST}:{self._etcd_port}"
        self._start(
            tools.ETCD.program(),
            data_dir=self.folder / "etcd",
            unsafe_no_fsync="true",
            listen_client_urls=client,
            advertise_client_urls=client,
            listen_peer_urls=f"http://{HOST}:{self._peer_port}",
        )

    def _start_controllers(self) -> None:
        kubeconfig, pki = self.folder / "controller-manager.conf", self.folder / "pki"
        self._start(
            tools.API_SERVER.program("kube-controller-manager"),
            kubeconfig=kubeconfig,
            authentication_kubeconfig=kubeconfig,
            authorization_kubeconfig=kubeconfig,
            leader_elect="false",
            service_account_private_key_file=pki / "sa.key",
            root_ca_file=pki / "ca.crt",
            use_service_account_credentials="true",
            bind_address=HOST,
            secure_port=self._controllers_port,
            # Their defaults, 20 requests a second and a look each 15 seconds, are what tests would wait for.
            kube_api_qps=300,
            kube_api_burst=600,
            horizontal_pod_autoscaler_sync_period=self._autoscalers_looked_at_each,
        )

    def _start(self, program: Path, **flags: object) -> None:
        with self._log(program.name).open("ab") as log:
            self._servers[program.name] = subprocess.Popen(
                [program, *(f"--{name.replace('_', '-')}={value}" for name, value in flags.items())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=self._watchdog.pid,
                cwd=self.folder,
                env=os.environ | LAZY_GARBAGE_COLLECTION,
            )

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _await(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while not ready():
            ended = next((server for server, process in self._servers.items() if process.poll() is not None), None)
            if ended or time.monotonic() > deadline:
                culprit = ended or name
                last = "\n".join(self._log(culprit).read_text(errors="replace").splitlines()[-5:])
                raise ClusterError(f"{culprit} did not start, its log ends with:\n{last}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        context = ssl.create_default_context(cafile=self.folder / "pki" / "ca.crt")
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", context=context, timeout=5):  # noqa: S310 - always https
                return True
        except OSError:
            return False


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nothing listens on, all different.

    Not those that the kernel gives to connections: until a server listens, any client beside it could get its port.
    """
    probes: list[socket.socket] = []
    while len(probes) < count:
        with suppress(OSError):  # taken: another one
            probes.append(socket.create_server((HOST, random.randrange(*LISTENED_ON))))  # noqa: S311 - no secret
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _read(*command: str | Path, stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise ClusterError(f"`{' '.join(map(str, command[:4]))} ...` failed: {done.stderr.strip()}")
    return done.stdout
