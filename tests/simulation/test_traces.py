"""Trace files: every form that is read, and every problem with its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from autoscaler.errors import ConfigError
from autoscaler.simulation.demand import cut
from autoscaler.simulation.scenario import past_of
from autoscaler.simulation.traces import Trace, read_trace


def written(folder: Path, text: str, name: str = "demand.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "column", "step_s", "rates"),
    [
        pytest.param("minute,count\n0,60\n1,120\n", None, 60.0, [1.0, 2.0], id="minutes"),
        pytest.param("minute,a,b\n0,6,60\n1,0,0\n", "b", 60.0, [1.0, 0.0], id="one of several"),
        pytest.param("t_s,requests\n0,5\n10,20\n", None, 10.0, [0.5, 2.0], id="steps of 10 s"),
        pytest.param("t_s,req_per_s,x\n0,3,9\n600,4,9\n", None, 600.0, [3.0, 4.0], id="rates"),
        pytest.param(
            "\ufeffminute,count\n0,60\n1,0\n", None, 60.0, [1.0, 0.0], id="a spreadsheet's mark"
        ),
        pytest.param(
            "t_s,requests\n1.7e9,5\n1700000010,20\n", None, 10.0, [0.5, 2.0], id="an epoch"
        ),
        pytest.param("minute,count\n7,60\n8,0\n", None, 60.0, [1.0, 0.0], id="begins later"),
        pytest.param("minute,count\r0,60\r1,0\r", None, 60.0, [1.0, 0.0], id="an old Mac's lines"),
    ],
)
def test_what_is_read(
    tmp_path: Path, text: str, column: str | None, step_s: float, rates: list[float]
) -> None:
    trace = read_trace(written(tmp_path, text), column)
    assert (trace.step_s, trace.rates_rps.tolist()) == (step_s, rates)
    assert trace.arrivals_s is None
    again = read_trace(written(tmp_path, text, "demand.csv.gz"), column)
    assert again.rates_rps.tolist() == rates


def test_one_line_a_request(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "t_s,in_tokens\n5,10\n5.5,3\n7,3\n"))
    assert trace.arrivals_s is not None
    assert trace.arrivals_s.tolist() == [0.0, 0.5, 2.0]
    assert trace.rates_rps.tolist() == [2.0, 0.0, 1.0]
    last = trace.last(1.0)
    assert last.arrivals_s is not None
    assert last.arrivals_s.tolist() == [0.0]


@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        pytest.param("", None, ["demand.csv: is empty"], id="empty"),
        pytest.param("minute,count\n", None, [":1: no line follows"], id="header alone"),
        pytest.param("client,t_s,rate\n1,0,2\n", None, [":1: first column 'client'"], id="columns"),
        pytest.param("minute,a,b\n0,1,2\n", None, [":1: 2 series, name one of a, b"], id="which"),
        pytest.param("minute,a,b\n0,1,2\n", "c", [":1: no column 'c', one of a, b"], id="no such"),
        pytest.param("minute,count\n0,1\n0,2\n", None, [":3: minute 0 after 0"], id="unsorted"),
        pytest.param(
            "minute,count\n-1,1\n", None, [":2: minute -1, 0 or more"], id="negative time"
        ),
        pytest.param(
            "minute,count\n0,x\n1,nan\n", None, [":2: count 'x'", ":3: count"], id="words"
        ),
        pytest.param(
            "minute,count\n0,1\n1,-5\n3,1\n3,1,1\n2,1\n",
            None,
            [
                ":3: count -5, 0 or more",
                ":4: minute 3 after 0: a gap",
                ":5: 3 columns, 2",
                ":6: minute 2 after 3",
            ],
            id="all at once",
        ),
        pytest.param('minute,count\n0,"6\n', None, [":2: unexpected end of data"], id="quotes"),
        pytest.param("minute,count\n0,1e300\n", None, [":2: count 1e300, at most"], id="too many"),
        pytest.param("t_s,in_tokens\n3,1\n1,1\n", None, [":3: t_s 1 after 3"], id="requests"),
        pytest.param(
            "t_s,in_tokens\n0,1\n1e12,1\n",
            None,
            [":1: 11,574,074 days, at most 366: `t_s` is in seconds"],
            id="requests in another unit",
        ),
        pytest.param(
            "t_s,requests\n0,1\n1e9,1\n", None, [":1: 23,148 days, at most 366"], id="steps"
        ),
        pytest.param(
            "t_s,requests\n1767225600,1\n1767225660,1\n1767225780,1\n",
            None,
            [":4: s 1767225780 after 1767225660: a gap, a line every 60, 0"],
            id="times since 1970 are told with all their digits",
        ),
        pytest.param(
            "minute;count\n0;1\n",
            None,
            [
                ":1: first column 'minute;count', `minute` or `t_s` must be first, and a comma between"
            ],
            id="semicolons",
        ),
        pytest.param("x" * 9000, None, [f":1: first column '{'x' * 60}...', "], id="one long line"),
    ],
)
def test_every_problem_is_told_with_its_line(
    tmp_path: Path, text: str, column: str | None, told: list[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        read_trace(written(tmp_path, text), column)
    problems = [str(problem) for problem in refused.value.problems]
    assert len(problems) == len(told)
    assert [part for part, problem in zip(told, problems, strict=True) if part not in problem] == []


def test_a_thousand_problems_are_counted(tmp_path: Path) -> None:
    lines = "".join(f"{minute},x\n" for minute in range(1000))
    with pytest.raises(ConfigError) as refused:
        read_trace(written(tmp_path, f"minute,count\n{lines}"))
    assert len(refused.value.problems) == 101
    assert "900 more problems" in str(refused.value.problems[-1])


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_trace(tmp_path / "none.csv")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"minute,count\n0,1\n" * 99)[:40])
    with pytest.raises(ConfigError, match="name a CSV file"):
        read_trace(tmp_path / "cut.csv.gz")


def test_the_end_of_a_trace_by_second_and_scaled() -> None:
    trace = Trace(name="t", step_s=60.0, rates_rps=np.array([1.0, 2.0, 3.0]))
    last = trace.last(120.0)
    assert last.rates_rps.tolist() == [2.0, 3.0]
    assert last.per_second().tolist() == [2.0] * 60 + [3.0] * 60
    assert last.scaled(10.0).rates_rps.tolist() == [20.0, 30.0]
    assert trace.last(999.0).rates_rps.tolist() == [1.0, 2.0, 3.0]


def test_less_than_a_step_is_no_end() -> None:
    trace = Trace(name="t", step_s=60.0, rates_rps=np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"last_days: 0.0001, at least a step of 60 s"):
        cut(trace, last_days=1e-4)


@pytest.mark.parametrize(
    ("rates", "step_s", "seconds"),
    [
        pytest.param([20.0, 0.0, 20.0, 0.0], 0.5, [10.0, 10.0], id="halves: both count"),
        pytest.param([3.0, 9.0], 1.5, [3.0, 6.0, 9.0], id="one and a half"),
        pytest.param([4.0, 4.0, 4.0], 0.5, [4.0, 2.0], id="the last second is half over"),
    ],
)
def test_steps_of_no_whole_seconds_keep_their_requests(
    rates: list[float], step_s: float, seconds: list[float]
) -> None:
    trace = Trace(name="t", step_s=step_s, rates_rps=np.array(rates))
    assert trace.per_second() == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("rates", "step_s", "minutes"),
    [
        pytest.param([1.0, 2.0], 60.0, [1.0, 2.0], id="minutes as they are"),
        pytest.param([1.0, 3.0, 5.0], 30.0, [2.0], id="half minutes: means, and no half one"),
        pytest.param([1.0, 2.0], 120.0, [1.0, 1.0, 2.0, 2.0], id="two minutes fill both"),
    ],
)
def test_the_past_is_by_minute(rates: list[float], step_s: float, minutes: list[float]) -> None:
    assert past_of(np.array(rates), step_s).tolist() == minutes
