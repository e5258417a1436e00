"""What can go wrong, by what is to be done about it.

HcaError
├── SpecError    the user must change the object: a condition, no retry
│   └── LimitExceeded  ... or have a limit of the install raised: a condition of its own, no retry
├── NotOwned     an object of that name is not ours: a condition, checked again from time to time
├── Contested    another controller changes a child again and again: a condition, repairs become rare
├── Rejected     the API server refuses what we send (quota, admission): a condition and a slow retry
├── Forbidden    RBAC forbids it: a condition and a slow retry
├── Transient    overload, time-out, lost connection: retried with backoff
│   ├── Conflict what was read has changed meanwhile: read again, as is usual where several write
│   ├── TooLarge the answer has more bytes than are read: less is asked for
│   ├── Expired  the resourceVersion of a watch or list is too old: it starts again from a new list
│   └── Absent   the cluster does not define the kind (any more)
└── CannotStart  the platform team must change something: the process ends with one sentence
"""

from hca_operator.core.fingerprints import fingerprint


class HcaError(Exception):
    """Base of every error that the operator raises on purpose."""


class SpecError(HcaError):
    """The object cannot be carried out as it is written."""


class LimitExceeded(SpecError):
    """The object asks for more than the platform team allows."""


class NotOwned(HcaError):
    """An object that has the name of one of our children has another owner."""


class Contested(HcaError):
    """Another controller changes a child again and again."""


class Rejected(HcaError):
    """The API server refused a request that would be refused again."""


class Forbidden(HcaError):
    """The operator's service account may not do this."""


class Transient(HcaError):
    """The request may succeed later.

    `retry_after` is the delay in seconds that the server asks for, None if it names none.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(Transient):
    """Another client was faster: the state that a decision was based on has changed."""


class TooLarge(Transient):
    """The answer has more bytes than the request allows, and was not read to its end."""


class Expired(Transient):
    """The API server no longer knows the version that a list or a watch wants to go on from."""


class Absent(Transient):
    """The cluster does not define the kind that a request is about."""


class CannotStart(HcaError):
    """The policy file or the cluster does not fit the operator."""


def correlation_id(error: BaseException) -> str:
    """Identifies an unexpected error: the same for every error that the same line raises.

    So a condition that carries it is written once, and every line of the log about it can be found by it. The outer
    steps do not count, since they grow in number while it is raised.
    """
    places = []
    step = error.__traceback__
    while step is not None:
        places.append((step.tb_frame.f_code.co_qualname, step.tb_lineno))
        step = step.tb_next
    return fingerprint([type(error).__qualname__, places[-2:]]).hex()[:12]
