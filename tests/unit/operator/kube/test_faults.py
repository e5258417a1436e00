"""An item of work ends with what it raises; the task that works them all off does not."""

import asyncio
import logging

import pytest

from hca_operator.controller.metrics import OperatorMetrics
from hca_operator.core.errors import correlation_id
from hca_operator.kube.faults import PAUSE_SECONDS, endless, survived
from tests.unit.operator.panic import PanicException
from tests.unit.operator.virtual_time import run


def counted(work: str) -> float:
    metrics = OperatorMetrics()
    return metrics.registry.get_sample_value("hca_internal_errors_total", {"work": work}) or 0.0


@pytest.mark.parametrize("error", [PanicException("float"), RecursionError(), ValueError("a"), BaseExceptionGroup("b", [PanicException()])])  # fmt: skip  # noqa: E501
def test_fault_40_whatever_an_item_raises_is_counted_and_logged_under_its_id(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    before = counted("test")
    with survived("test", object="default/shop"):
        raise error
    assert counted("test") == before + 1
    (record,) = caplog.records
    assert (record.levelno, record.__dict__["object"]) == (logging.ERROR, "default/shop")
    assert record.__dict__["correlation_id"] == correlation_id(error)
    assert record.exc_info is not None


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_task_on_purpose_ends_it(error: type[BaseException]) -> None:
    with pytest.raises(error), survived("test"):
        raise error


def test_the_same_line_gives_the_same_id_and_another_one_another() -> None:
    def fails(number: int) -> str:
        try:
            if number == 1:
                raise ValueError(number)
            raise ValueError(number)
        except ValueError as error:
            return correlation_id(error)

    assert fails(1) == fails(1) != fails(2) == fails(3)


def test_work_begins_again_after_an_error_and_ends_when_it_is_over() -> None:
    starts: list[float] = []

    async def work() -> None:
        starts.append(asyncio.get_running_loop().time())
        if len(starts) < 3:
            raise PanicException

    run(endless("test", work))
    assert starts == [0, PAUSE_SECONDS, 2 * PAUSE_SECONDS]
