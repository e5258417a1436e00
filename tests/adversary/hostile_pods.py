"""Pods of a hostile tenant, as far as a client can see them: what they answer, and what their kubelet says of them."""

import asyncio
import multiprocessing
import os
import random
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from hypothesis import strategies as st

from dev.control_plane import free_ports
from hca_operator.core.names import (
    API_LABEL,
    HASH_LABEL,
    REPLACED_FOR_MEMORY,
    REPLACED_LABEL,
    STABLE,
    TRACK_LABEL,
    Manifest,
)
from tests.adversary import texts
from tests.bench.hostile_pods import HEAD, HOST, HOSTILE, Answer, Write, handler

IN_FLIGHT = 3
"""Of each honest pod."""
_NAMES = (b"http_requests_total", b"http_requests_in_flight", b"event_loop_lag_seconds")


async def honest(write: Write) -> None:
    """As a small app answers, ten requests a second."""
    served = int(10 * time.monotonic())
    buckets = b"".join(
        b'http_request_duration_seconds_bucket{route="/",le="%s"} %d\n' % (bound, served)
        for bound in (b"0.1", b"0.25", b"1", b"+Inf")
    )
    await write(HEAD + b"\r\n" + buckets + b"http_requests_in_flight %d\nevent_loop_lag_seconds 0.001\n" % IN_FLIGHT)


def _series(*values: bytes) -> bytes:
    return b"".join(b"%s %s\n" % (name, value) for name in _NAMES for value in values)


async def _binary(write: Write) -> None:
    await write(HEAD + b"\r\n" + os.urandom(2**16))


async def _no_numbers(write: Write) -> None:
    await write(
        HEAD + b"\r\n" + _series(random.choice([b"NaN", b"+Inf", b"-1", b"1e400", b"0x1", b"", b"1_0", b"-NaN"]))
    )


async def _jumps(write: Write) -> None:
    value = b"%d" % random.choice([0, 1, 10**6, 2**53 - 1, 10**15])
    bucket = b'http_request_duration_seconds_bucket{le="%d"} %s\n' % (random.randrange(9), value)
    last = b'http_request_duration_seconds_bucket{le="+Inf"} %s\n' % value
    await write(HEAD + b"\r\n" + bucket + last + _series(value))


async def _half(write: Write) -> None:
    await write(HEAD + b"Content-Length: 100000\r\n\r\n" + _series(b"1") + b"http_requests_to")


async def _bad_chunks(write: Write) -> None:
    await write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhttp_\r\nffffffffffffffffff\r\n" + _series(b"1"))


async def _compressed(write: Write) -> None:
    await write(HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08" + os.urandom(5000))


async def _headers(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await write(b"X-%d: %s\r\n" % (random.randrange(10**9), b"x" * 4000))


async def _continues(write: Write) -> None:
    while True:
        await write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


async def _redirects(write: Write) -> None:
    await write(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")


async def _other_protocol(write: Write) -> None:
    await write(b"\x15\x03\x01\x00\x02\x02\x0a SSH-2.0-x\r\n")


async def _labels(write: Write) -> None:
    label = b'{a="\\\\%s",path="%s",le="1",le="NaN"}' % (b"\\\\" * 2000, b"\xf0\x9f\x92\xa9" * 500)
    await write(HEAD + b"\r\n" + b"".join(b"%s%s 1\n" % (name, label) for name in _NAMES) * 50)


async def _says_nothing(write: Write) -> None:
    await write(b"")
    await asyncio.sleep(600)


async def _silent_after_a_while(write: Write) -> None:
    await write(HEAD + b"\r\n" + _series(b"1"))
    await asyncio.sleep(600)


ANSWERS: Mapping[str, Answer] = {
    **{f"kind-{number}": answer for number, (_, answer) in enumerate(HOSTILE.values())},
    "binary": _binary,
    "no-numbers": _no_numbers,
    "jumps": _jumps,
    "half": _half,
    "bad-chunks": _bad_chunks,
    "compressed": _compressed,
    "headers": _headers,
    "continues": _continues,
    "redirects": _redirects,
    "other-protocol": _other_protocol,
    "labels": _labels,
    "says-nothing": _says_nothing,
    "silent": _silent_after_a_while,
}
RESETS = "resets"
"""Answered by a listener of its own, on the level of TCP."""
HONEST = "honest"


@contextmanager
def answering() -> Iterator[Mapping[str, int]]:
    """The port of each kind of pod: the honest ones in a process of their own, the hostile ones together in another."""
    hostile = [*ANSWERS, RESETS]
    ports = dict(zip([HONEST, *hostile], free_ports(1 + len(hostile)), strict=True))
    parts = ({HONEST: ports[HONEST]}, {name: ports[name] for name in hostile})
    processes = [
        multiprocessing.get_context("spawn").Process(target=_serve, args=(part,), daemon=True) for part in parts
    ]
    for process in processes:
        process.start()
    try:
        yield ports
    finally:
        for process in processes:
            process.kill()
            process.join()


def _serve(ports: Mapping[str, int]) -> None:
    async def main() -> None:
        for name, port in ports.items():
            answer = handler({HONEST: honest, **ANSWERS}[name]) if name != RESETS else _reset
            await asyncio.start_server(answer, HOST, port, backlog=1024)
        await asyncio.Event().wait()

    if HONEST not in ports:
        os.nice(10)
    asyncio.run(main())


async def _reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"\r\nhttp_requests_to")
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def pod(namespace: str, api: str, name: str, number: int) -> Manifest:
    """A pod that says that it is of an API; some of them also say that the operator is replacing them."""
    labels = {API_LABEL: api, TRACK_LABEL: STABLE}
    labels |= [{}, {REPLACED_LABEL: REPLACED_FOR_MEMORY}, {HASH_LABEL: "x" * 63}, {"a" * 63: "b" * 63}][number % 4]
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": ["api", "istio-proxy"][number % 2], "image": "registry.example.com/x:1"}]},
    }


def _states() -> st.SearchStrategy[Manifest]:
    text = st.one_of(
        texts.odd, texts.promql, st.just("failed to create containerd task: " + "a1" * 1500), st.just("(" * 4000)
    )
    ended = st.fixed_dictionaries(
        {
            "exitCode": st.integers(-(2**31), 2**31 - 1),
            "reason": st.sampled_from(["OOMKilled", "Error", "Completed", "StartError"]) | texts.odd,
            "message": text,
            "startedAt": st.sampled_from(
                [None, "2026-03-01T03:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
            ),
            "finishedAt": st.sampled_from(
                [None, "2026-03-01T03:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
            ),
        }
    )
    reasons = ["CrashLoopBackOff", "ImagePullBackOff", "CreateContainerConfigError", "PodInitializing"]
    waits = st.fixed_dictionaries({"reason": st.sampled_from(reasons) | texts.odd, "message": text})
    return st.one_of(
        st.builds(lambda state, last: {"state": {"waiting": state}, "lastState": {"terminated": last}}, waits, ended),
        ended.map(lambda state: {"state": {"terminated": state}}),
        st.just({"state": {"running": {"startedAt": "9999-12-31T23:59:59Z"}}, "ready": True}),
        st.just({}),
    )


def statuses() -> st.SearchStrategy[Manifest]:
    """What a kubelet may say of a pod whose texts are its tenant's."""
    message = st.one_of(texts.odd, st.just("0/5 nodes are available: " + "5 Insufficient cpu, " * 200))
    conditions = st.fixed_dictionaries(
        {
            "Ready": st.sampled_from(["True", "False", "Unknown"]),
            "PodScheduled": st.sampled_from(["True", "False"]),
        }
    )
    return st.builds(
        lambda state, found, said, phase: {
            "phase": phase,
            "podIP": HOST,
            "podIPs": [{"ip": HOST}],
            "conditions": [
                {"type": name, "status": value, "reason": "Unschedulable", "message": said}
                for name, value in found.items()
            ],
            "containerStatuses": [
                {"name": name, "image": "x", "imageID": "", "ready": False, "restartCount": 2**31 - 1, **state}
                for name in ("api", "istio-proxy")
            ],
        },
        _states(), conditions, message, st.sampled_from(["Running", "Pending", "Failed", "Succeeded", "Unknown"]),
    )  # fmt: skip
