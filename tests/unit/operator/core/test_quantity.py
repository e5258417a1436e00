from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hca_operator.core.durations import parse_duration
from hca_operator.core.quantities import decimal_text, memory_text, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"), ("2", "2"), ("+2", "2"), ("-1", "-1"), ("1.5", "1.5"), (".5", "0.5"), ("1.", "1"),
        ("250m", "0.25"), ("2000m", "2"), ("100u", "0.0001"), ("1n", "1e-9"),
        ("1k", "1000"), ("1M", "1000000"), ("1G", "1e9"), ("1T", "1e12"), ("1P", "1e15"), ("1E", "1e18"),
        ("1Ki", "1024"), ("512Mi", "536870912"), ("0.5Gi", "536870912"), ("1Ti", "1099511627776"),
        ("1e3", "1000"), ("1E3", "1000"), ("15e-1", "1.5"), ("1e+2", "100"),
        ("1e0003", "1000"),
        ("0.99999999999m", "0.001"),
        ("1e-999", "1e-9"),
    ],
)  # fmt: skip
def test_quantities_are_read_as_kubernetes_reads_them(text: str, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["", "m", "INVALID", "1 Gi", " 1", "1\n", "1mi", "1KI", "1K", "1e", "1e1.5", "--1", "1,5", "0x10", "NaN", "٣"],
)
def test_what_is_no_quantity_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a Kubernetes quantity such as 250m or 512Mi"):
        parse_quantity(text)


@pytest.mark.parametrize(
    "texts", [("2", "2000m", "2.0", "+2", "2e0", "0.002k"), ("1500m", "1.5"), ("1m", "100u", "1n")]
)
def test_equal_cpu_quantities_have_one_canonical_form(texts: tuple[str, ...]) -> None:
    assert {decimal_text(parse_quantity(text)) for text in texts} == {texts[0]}


@pytest.mark.parametrize("texts", [("1Gi", "1024Mi", "1073741824"), ("512Mi", "0.5Gi"), ("1000", "1k", "999999m")])
def test_equal_memory_quantities_have_one_canonical_form(texts: tuple[str, ...]) -> None:
    assert {memory_text(parse_quantity(text)) for text in texts} == {texts[0]}


@given(st.integers(min_value=0, max_value=256_000))
def test_cpu_survives_the_round_trip(millicores: int) -> None:
    cores = Decimal(millicores) / 1000
    assert parse_quantity(decimal_text(cores)) == cores


@given(st.integers(min_value=0, max_value=2**42))
def test_memory_survives_the_round_trip(size: int) -> None:
    assert parse_quantity(memory_text(Decimal(size))) == size


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60), ("10m", 600), ("1h30m", 5400), ("1h1m1s", 3661), ("0s", 0)])
def test_durations_are_read_in_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "1d", "1.5h", "-1s", "1s\n", " 1s", "1h1m1s1s", "500ms", "100000s", "٣s"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 60s, 10m or 1h30m"):
        parse_duration(text)
