"""The watch of the HighConcurrencyApi objects, which kopf runs, and everything that cures a fault of kopf.

No other module imports kopf. What is cured, by part, and the module of a part that is not here:

| part | without it | upstream |
|---|---|---|
| `on.event` is the only kind of handler | timers, daemons and delete handlers add a finalizer, so that a deletion \
hangs while the operator is down | nolar/kopf#833 |
| handlers only cache the object and queue its key | an exception in `on.event` is logged and dropped, never retried | \
nolar/kopf#1294 |
| `EndlessBackoff`, of `kube/informer.py` for every watch, as `error_backoffs` | the watcher \
ends for ever after 54 s of errors, and kopf runs on without \
it | nolar/kopf#1276, #1145, #996 |
| `is_watching`, in both probes | kopf's own /healthz stays green without a watcher | nolar/kopf#1077 |
| `check_definition` | kopf reads a CustomResourceDefinition once, when it is reported, which may be before it is \
served; and the API server ends no watch when the definition is deleted | kubernetes/kubernetes#74105 |
| `posting.enabled = False` | Events of its own beside those of the operator; up to 1.43 one for each log line | \
nolar/kopf#1258 |
| `_NothingStored` | before it calls any handler, kopf reads an annotation of the object, where it would store JSON: \
any other text, which every user can write, keeps the events of the object from the handlers | none known |
| `IMPOSSIBLE_FINALIZER` | kopf takes its finalizer off an object to which a user gave it; without the right to do so, \
it leaves out the events that come next | none known |
| `chunk_size`, `idle_timeout` | every object is in memory at once when it lists them, and for 5 s more | none known |
| `peering.standalone = True` | another operator of the same peering pauses the watch | nolar/kopf#734 |
| `identity` | kopf makes one of the user's name, and a numeric user has none | none known |
| all other tasks start before kopf, and `stopping` ends them | at its end kopf cancels tasks that were started after \
itself, and waits up to 5 s for them | none known |
| the stop flag is set at the end, too | kopf leaves a task behind that waits for it | none known |
| the `kopf` logger from WARNING on | kopf logs every start and end of a watch | none known |
| `KOPF_FIELDS`, in `telemetry/logs.py` because the metrics server, which writes the same logs, does not import this \
folder | kopf adds its settings to every line about an object: they are no JSON, so the line would be lost | none \
known |

Measurements of the first three: docs/design/0001.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import kopf

from hca_operator.controller.work_queue import WorkQueue
from hca_operator.core.errors import Absent, HcaError, Transient
from hca_operator.core.names import GROUP, KIND, PLURAL, VERSION, Manifest
from hca_operator.core.observed import edited
from hca_operator.core.ports import Key
from hca_operator.kube.client import KubeClient
from hca_operator.kube.faults import survived
from hca_operator.kube.informer import EndlessBackoff
from hca_operator.kube.object_cache import ObjectCache

WATCH_GRACE_SECONDS = 120.0
"""For how long there may be no watch until the process is restarted: at the start there is none yet."""
DEFINITION_CHECK_SECONDS = 15.0
"""Between two checks whether the objects are defined."""
UNWATCHED_SECONDS = 45.0
"""For how long the objects may be defined but not watched until the process ends."""
LISTED_AT_A_TIME = 10
"""Objects: each may have more than a mebibyte, and takes several times that while it is read."""
IDLE_OBJECT_SECONDS = 0.1
"""For how long kopf keeps an object in memory after its event was handled, in case that another one comes."""
IMPOSSIBLE_FINALIZER = f"{GROUP}/on no object"
"""The API server refuses one with a space."""

logger = logging.getLogger(__name__)


class KopfEvents:
    """Has kopf watch the objects of one namespace, or ("") of all, and knows whether it does."""

    def __init__(self, kube: KubeClient, namespace: str, *, jitter: Callable[[], float]) -> None:
        """`jitter` returns a factor around 1."""
        self._kube = kube
        self._namespace = namespace
        self._jitter = jitter
        self._stop = asyncio.Event()
        self._undefined = False
        self._trouble: HcaError | None = None
        self._watched_at = asyncio.get_running_loop().time()

    async def run(
        self, queue: WorkQueue[Key], objects: ObjectCache, *, stopping: Callable[[], Awaitable[None]]
    ) -> None:
        """Watch until SIGTERM or SIGINT; `stopping` is awaited as soon as one arrives, and should end all other tasks.

        Raises HcaError if the watch broke off: a new process is the surest way to go on. kopf cancels every task that
        was started after this, so all others must have been started before.
        """
        logging.getLogger("kopf").setLevel(logging.WARNING)
        registry = kopf.OperatorRegistry()

        async def stop() -> None:
            await stopping()
            self._stop.set()

        register(registry, queue, objects, stopping=stop)
        try:
            await kopf.operator(
                registry=registry,
                settings=operator_settings(clusterwide=not self._namespace),
                clusterwide=not self._namespace,
                namespaces=[self._namespace] if self._namespace else [],
                stop_flag=self._stop,
                identity="hca-operator",  # type: ignore[arg-type] # a NewType of str that kopf keeps private
            )
        except HcaError as error:
            # From a write that was under way at the end: kopf waits for the tasks that it cancels.
            logger.info("not carried out before the end: %s", error)
        except Exception as error:
            self._trouble = self._trouble or await self._cause(error)
        if self._trouble:
            raise self._trouble

    async def check_definition(self) -> None:
        """Check again and again whether the objects are defined. End `run` if they are defined but not watched.

        With the rights of one namespace kopf does not read definitions at all, so `run` ends if there is none.
        """
        while True:
            try:
                await self._kube.require(KIND, self._namespace)
                self._undefined = False
                if self._unwatched_seconds() > UNWATCHED_SECONDS:
                    self._end(Transient("the objects are defined, but not watched"))
            except Absent as error:
                if not self._undefined:
                    logger.error("%s: install the chart with crds.enabled, or apply crds/", error)
                self._undefined = True
                if self._namespace:
                    self._end(error)
            except HcaError as error:
                logger.debug("the definition could not be read: %s", error)
            await asyncio.sleep(DEFINITION_CHECK_SECONDS * self._jitter())

    def not_ready(self) -> str | None:
        """Why the objects are not watched, None if they are."""
        if self._undefined:
            return f"{KIND} is not defined in this cluster"
        return None if is_watching(self._namespace) else f"not watching {KIND}"

    def not_alive(self) -> str | None:
        """Why only a new process can help, None if this one may go on."""
        if self._unwatched_seconds() > WATCH_GRACE_SECONDS:
            return f"not watching {KIND} for {WATCH_GRACE_SECONDS:.0f} seconds"
        return None

    def _unwatched_seconds(self) -> float:
        """Seconds since the objects were last watched, or not defined."""
        now = asyncio.get_running_loop().time()
        if self._undefined or is_watching(self._namespace):
            self._watched_at = now
        return now - self._watched_at

    async def _cause(self, error: Exception) -> HcaError:
        """Why the watch broke off: what the API server says of the kind, otherwise what kopf says."""
        try:
            await self._kube.require(KIND, self._namespace)
        except HcaError as cause:
            return cause
        return Transient(f"watching the objects broke off: {error}")

    def _end(self, trouble: HcaError) -> None:
        self._trouble = trouble
        self._stop.set()


def register(
    registry: kopf.OperatorRegistry,
    queue: WorkQueue[Key],
    objects: ObjectCache,
    *,
    stopping: Callable[[], Awaitable[None]],
) -> None:
    """Register the handler of events: an object that is newer than in the cache is cached and queued.

    `stopping` is awaited as soon as the process is asked to end.
    """

    @kopf.on.event(GROUP, VERSION, PLURAL, id="object", registry=registry)
    async def _object(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401
        with survived(f"watch of {KIND}"):
            take(event["type"], dict(event["object"]), queue, objects)

    @kopf.on.cleanup(registry=registry)
    async def _cleanup(**_: Any) -> None:  # noqa: ANN401
        await stopping()

    @kopf.on.login(registry=registry)
    def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def take(type_: str | None, manifest: Manifest, queue: WorkQueue[Key], objects: ObjectCache) -> None:
    """Cache and queue an object of an event, whose type is None if it was listed."""
    key = Key.of(manifest)
    if type_ == "DELETED":
        objects.remove(manifest)
        queue.add(key)
    elif objects.update(manifest):  # as a rule the cache already has it from the operator's own write
        if edited(manifest):
            queue.add(key, urgent=True)
        else:
            queue.add_coalesced(key)


class _NothingStored(kopf.DiffBaseStorage):
    """No earlier state of an object: it is neither read from the object nor written to it."""

    def build(
        self,
        *,
        body: kopf.Body,  # noqa: ARG002 - as kopf calls it
        extra_fields: Iterable[kopf.FieldSpec] | None = None,  # noqa: ARG002
    ) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


def operator_settings(*, clusterwide: bool) -> kopf.OperatorSettings:
    """Settings under which kopf only watches: it posts no Event, takes no lock and writes to no object.

    With the rights of one namespace it cannot watch for definitions.
    """
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = not clusterwide
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.persistence.finalizer = IMPOSSIBLE_FINALIZER
    settings.persistence.diffbase_storage = _NothingStored()
    settings.networking.error_backoffs = EndlessBackoff()
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 30
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.chunk_size = LISTED_AT_A_TIME
    settings.queueing.idle_timeout = IDLE_OBJECT_SECONDS
    return settings


def is_watching(namespace: str) -> bool:
    """Whether kopf's task that watches the objects of a namespace ("": of the cluster) runs."""
    return any(
        task.get_name().startswith(f"watcher for {PLURAL}.") and task.get_name().endswith(f"@{namespace or None}")
        for task in asyncio.all_tasks()
        if not task.done()
    )
