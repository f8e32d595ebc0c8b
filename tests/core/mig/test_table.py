"""Measured throughput: what is read, what is refused, and what a slice carries within a latency."""

from __future__ import annotations

import pytest

from autoscaler.core.mig.catalogue import find_gpu
from autoscaler.core.mig.table import (
    Carried,
    ProfileTable,
    best,
    envelope,
    falling_rows,
    read_table,
)
from autoscaler.errors import TableInvalid, UnknownProfile

A100 = find_gpu("A100-80GB")
HEADER = "profile,batch_size,processes,throughput_rps,latency_s"


def table(*rows: str) -> ProfileTable:
    return read_table([HEADER, *rows], model="bert", gpu=A100)


BERT = table(
    "1g.10gb,1,1,70.4,0.014",
    "1g.10gb,8,1,100.5,0.080",
    "1g.10gb,8,2,60.25,0.133",
    "1g.10gb,8,3,0,0",
    "2g.20gb,1,1,68.0,0.014",
    "2g.20gb,8,1,170.0,0.047",
)


def test_rates_round_down_and_latencies_up() -> None:
    row = table("1g.10gb,1,1,70.4999,0.0140001").rows[0]
    assert (row.throughput_mrps, row.latency_us) == (70_499, 14_001)


@pytest.mark.parametrize(
    ("limit_us", "processes", "carried"),
    [
        (200_000, 1, Carried(rate_mrps=100_500, batch_size=8, processes=1)),
        # Two processes of 60.25 rps each.
        (200_000, 2, Carried(rate_mrps=120_500, batch_size=8, processes=2)),
        # Three did not fit: a row of zeros.
        (200_000, 5, Carried(rate_mrps=120_500, batch_size=8, processes=2)),
        (133_000, 2, Carried(rate_mrps=100_500, batch_size=8, processes=1)),
        # Below the limit, not at it.
        (80_000, 1, Carried(rate_mrps=70_400, batch_size=1, processes=1)),
        (14_000, 1, None),
    ],
)
def test_the_best_within_the_latency(
    limit_us: int, processes: int, carried: Carried | None
) -> None:
    assert best(BERT, "1g.10gb", latency_limit_us=limit_us, max_processes=processes) == carried


def test_processes_must_fit_into_the_slices_memory() -> None:
    # 9,856 MiB are usable: one process of 6,000, not two.
    carried = best(BERT, "1g.10gb", latency_limit_us=200_000, max_processes=2, memory_mib=6000)
    assert carried == Carried(rate_mrps=100_500, batch_size=8, processes=1)
    assert best(BERT, "1g.10gb", latency_limit_us=200_000, memory_mib=12_000) is None


def test_an_envelope_that_rises_is_taken_although_a_row_falls() -> None:
    assert {
        name: carried.rate_mrps
        for name, carried in envelope(
            BERT, ["1g.10gb", "2g.20gb"], latency_limit_us=100_000
        ).items()
    } == {"1g.10gb": 100_500, "2g.20gb": 170_000}
    assert falling_rows(BERT) == (
        "bert: batch 1 with 1 processes shows 68 rps on 2g.20gb and 70.4 on 1g.10gb",
    )


def test_an_envelope_that_falls_is_refused() -> None:
    with pytest.raises(
        TableInvalid,
        match=r"bert: 2g.20gb carries 68 rps within 40 ms and the smaller 1g.10gb 70.4 rps",
    ):
        envelope(BERT, ["1g.10gb", "2g.20gb"], latency_limit_us=40_000)


def test_a_larger_slice_that_carries_nothing_is_refused() -> None:
    fast = table("1g.10gb,1,1,70,0.01", "3g.40gb,1,1,90,0.05")
    with pytest.raises(TableInvalid, match=r"3g.40gb carries nothing within 20 ms"):
        envelope(fast, ["1g.10gb", "3g.40gb"], latency_limit_us=20_000)


def test_a_smaller_slice_that_carries_nothing_is_left_out() -> None:
    large = table("1g.10gb,1,1,0,0", "3g.40gb,1,1,90,0.05")
    found = envelope(large, ["1g.10gb", "3g.40gb"], latency_limit_us=60_000)
    assert list(found) == ["3g.40gb"]


def test_a_shape_that_was_not_measured_is_refused() -> None:
    with pytest.raises(
        TableInvalid, match=r"bert: nothing was measured on 7g.80gb, the table has 1g.10gb, 2g.20gb"
    ):
        envelope(BERT, ["1g.10gb", "7g.80gb"], latency_limit_us=100_000)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1g.10gb,1,1,70", "line 2: 4 values, the header names 5"),
        ("1g.10gb,0,1,70,0.01", "line 2: batch_size is '0', a whole number from 1 is allowed"),
        ("1g.10gb,1,x,70,0.01", "line 2: processes is 'x'"),
        ("1g.10gb,1,1,nan,0.01", "line 2: throughput_rps is 'nan', a number from 0"),
        ("1g.10gb,1,1,-1,0.01", "line 2: throughput_rps is '-1'"),
        ("1g.10gb,1,1,70,inf", "line 2: latency_s is 'inf'"),
        ("1g.10gb,1,1,70,", "line 2: latency_s is ''"),
        ("1g.10gb,1,1,70,1e9", "line 2: latency_s is '1e9', a number from 0 to 86400"),
        ("1g.10gb,1,1,70,0", "line 2: latency_s is '0', a run that carried something took time"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(row: str, words: str) -> None:
    with pytest.raises(TableInvalid, match=words):
        table(row)


def test_a_table_needs_its_columns_and_a_row() -> None:
    with pytest.raises(TableInvalid, match="columns processes, latency_s are missing"):
        read_table(["profile,batch_size,throughput_rps"], model="bert", gpu=A100)
    with pytest.raises(TableInvalid, match="no rows"):
        table()


def test_a_row_twice_is_refused() -> None:
    with pytest.raises(TableInvalid, match="line 3: 1g.10gb with batch 1 and 1 processes is there"):
        table("1g.10gb,1,1,70,0.01", "1g.10gb,1,1,71,0.01")


def test_a_row_of_another_gpu_is_refused() -> None:
    with pytest.raises(UnknownProfile, match="1g.5gb"):
        table("1g.5gb,1,1,70,0.01")
