"""Thresholds: what they mean, and what is refused before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.load import profile, request_log, thresholds
from loadtests.load.__main__ import exit_code, main
from loadtests.load.request_log import OK, Request
from loadtests.load.thresholds import ThresholdInvalid, summary


def took(*seconds: float | None) -> list[Request]:
    """None: it failed."""
    return [
        Request(10.0, 10.001, 10.0 + (s or 0.0), "a", OK if s is not None else "reset")
        for s in seconds
    ]


def streamed(*answers: tuple[float, float, int | None]) -> list[Request]:
    """(first token after so many seconds, the last after so many, how many)."""
    return [
        Request(10.0, 10.001, 10.0 + done, "a", OK, first_token_s=10.0 + first, tokens=tokens)
        for first, done, tokens in answers
    ]


# 20, 30 and 40 ms a token after the first.
THREE = streamed((0.2, 1.2, 51), (0.3, 0.6, 11), (0.4, 0.8, 11))
HUNDRED = took(*(float(n) for n in range(1, 101)))
TEN = took(0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.9)


@pytest.mark.parametrize(
    ("text", "requests", "figure", "passed"),
    [
        pytest.param("latency: p(90) <= 200ms", TEN, 0.2, True, id="nine of ten"),
        pytest.param("latency: p(90) > 210ms", TEN, 0.2, False, id="the other way round"),
        pytest.param("latency: p(99) < 0.5s", TEN, 0.9, False, id="the slowest"),
        pytest.param("latency: p(7) < 10s", HUNDRED, 7.0, True, id="7 of 100 is the seventh"),
        pytest.param("latency:p(99.9)<1s", TEN, 0.9, True, id="without spaces"),
        pytest.param("latency: med < 150ms", TEN, 0.1, True, id="median"),
        pytest.param("latency: avg < 230ms", TEN, 0.22, True, id="mean"),
        pytest.param("latency: min > 50ms", TEN, 0.1, True, id="least"),
        pytest.param("latency: max < 900ms", TEN, 0.9, False, id="most"),
        pytest.param(
            "latency: p(50) < 200ms", took(0.1, None, None), float("inf"), False, id="failures"
        ),
        pytest.param("latency: p(95) < 200ms", [], None, False, id="nothing was measured"),
        pytest.param("failed: rate < 10%", took(0.1, 0.1, 0.1, None), 0.25, False, id="a share"),
        pytest.param("failed: rate < 0.3", took(0.1, 0.1, 0.1, None), 0.25, True, id="a number"),
        pytest.param("failed: rate < 1%", [], None, False, id="a share of nothing"),
        pytest.param("failed: count <= 1", took(0.1, None), 1.0, True, id="a count"),
        pytest.param("requests: count >= 11", TEN, 10.0, False, id="too few requests"),
        pytest.param("lateness: p(99) < 5ms", TEN, 0.001, True, id="the client's own lateness"),
        pytest.param(
            "lateness: max < 5ms",
            [Request(1.0, 9.0, 9.1, "a", OK, waited=True)],
            None,
            False,
            id="who waited for a server tells nothing of the client",
        ),
        pytest.param("ttft: p(95) < 500ms", THREE, 0.4, True, id="first tokens"),
        pytest.param("ttft: max < 2s", THREE + took(None), float("inf"), False, id="no first one"),
        pytest.param("tpot: med < 25ms", THREE, 0.03, False, id="tokens after the first"),
        pytest.param("tpot: avg <= 30ms", THREE, 0.03, True, id="mean of the requests"),
        pytest.param("tpot: max < 1s", THREE + took(None), float("inf"), False, id="a failure"),
        pytest.param(
            "tpot: max < 1s",
            THREE + streamed((0.2, 1.2, None)),
            float("inf"),
            False,
            id="tokens that nobody counted",
        ),
        pytest.param(
            "tpot: max < 50ms", THREE + streamed((5.0, 9.0, 1)), 0.04, True, id="one token has none"
        ),
        pytest.param("tpot: max < 1s", streamed((0.2, 0.2, 1)), None, False, id="only such"),
    ],
)
def test_figures(text: str, requests: list[Request], figure: float | None, passed: bool) -> None:
    (verdict,) = thresholds.judge(thresholds.parse([text], streamed=True), requests)
    assert verdict.figure == (None if figure is None else pytest.approx(figure))
    assert verdict.passed is passed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("p(95)<200", "must be `METRIC: AGGREGATION", id="no metric"),
        pytest.param("latency: p(95) == 200ms", "must be `METRIC", id="no such sign"),
        pytest.param("speed: p(95) < 200ms", "metric speed is not known", id="no such metric"),
        pytest.param("latency: rate < 1%", "latency has no rate", id="not of this metric"),
        pytest.param("latency: p < 1ms", "latency has no p;", id="which percentile"),
        pytest.param("latency: p(95) < 200", "unit must be ms or s", id="no unit"),
        pytest.param("failed: rate < 5ms", "unit must be % or none", id="the wrong unit"),
        pytest.param("latency: p(101) < 5ms", r"p\(101\) must be between", id="beyond 100"),
        pytest.param("latency: p(9.9.9) < 5ms", "must be between", id="not a number"),
        pytest.param("", "must be `METRIC", id="nothing"),
        pytest.param(
            "ttft: p(95) < 1s",
            "ttft is of answers that stream, with --protocol openai; without there are latency, lateness, failed",
            id="an answer that comes whole has no first token",
        ),
        pytest.param("itl: p(95) < 1s", "did you mean tpot", id="another tool's word"),
    ],
)
def test_what_is_malformed_is_named(text: str, says: str) -> None:
    with pytest.raises(ThresholdInvalid, match=says):
        thresholds.parse([text])


def test_every_problem_at_once() -> None:
    with pytest.raises(ThresholdInvalid) as caught:
        thresholds.parse(["latency: p(95) < 1", "requests: count > 1", "bad"])
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--load=24x60", "--threshold=latency < 1"], id="threshold"),
        pytest.param(["--load=fast"], id="load"),
        pytest.param(["--load=1000x1000"], id="more requests than are allowed"),
        pytest.param(["--load=0x60"], id="no request"),
        pytest.param(["--load=5x1", "--connections=0"], id="no connection"),
        pytest.param(["--load=5x1", "--max-age-s=-1"], id="no age"),
        pytest.param(["--load=5x1", "--seed=-1"], id="no seed"),
        pytest.param(["--load=5x1", "--address=http://127.0.0.1:9"], id="a scheme"),
        pytest.param(["--load=5x1", "--address=127.0.0.1:99999"], id="no port"),
        pytest.param(["--load=5x1", f"--log={__file__}/log.csv.gz"], id="a log below a file"),
    ],
)
def test_a_bad_configuration_ends_before_the_run_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    # Nothing listens at this address: it is never asked.
    assert main(["--address=127.0.0.1:9", "--model=m", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("late_s", "limit", "code"),
    [
        pytest.param(0.01, "latency: max < 1s", 0, id="kept"),
        pytest.param(0.01, "latency: max < 100ms", 99, id="missed"),
        pytest.param(0.2, "latency: max < 1s", 1, id="kept by a client that was too slow to tell"),
        pytest.param(0.2, "latency: max < 100ms", 1, id="missed by one"),
    ],
)
def test_exit_codes(late_s: float, limit: str, code: int) -> None:
    assert exit_code(TEN, thresholds.judge(thresholds.parse([limit]), TEN), late_s) == code


@pytest.mark.parametrize(
    ("run", "limits", "code"),
    [
        pytest.param(took(None, None), [], 1, id="nobody answered"),
        pytest.param(took(None, None), ["failed: rate <= 100%"], 0, id="nor was anybody to"),
        pytest.param(took(0.1, None), [], 0, id="the half of it is for thresholds to judge"),
    ],
)
def test_a_run_that_nobody_answered_has_failed(
    run: list[Request], limits: list[str], code: int
) -> None:
    assert exit_code(run, thresholds.judge(thresholds.parse(limits), run), 0.01) == code


def test_a_load_as_text() -> None:
    steps = profile.parse("24x60, 0.5x10")
    assert [(s.rate_rps, s.duration_s) for s in steps] == [(24.0, 60.0), (0.5, 10.0)]


def test_a_run_in_one_line() -> None:
    run = [Request(1.0, 1.0, 1.05, "a", OK)] * 98 + [Request(1.0, 1.0, None, "a", "reset")] * 2
    assert summary(run) == "100 requests, 2 failed; latency p50 50 ms, p99 none"
    assert summary(run[:98]) == "98 requests, 0 failed; latency p50 50 ms, p99 50 ms"
    assert summary([]) == "no request was sent"


def test_a_run_of_streams_in_one_line() -> None:
    assert summary(THREE) == (
        "3 requests, 0 failed; latency p50 800 ms, p99 1200 ms; ttft p50 300 ms, p99 400 ms; "
        "tpot p50 30.0 ms, p99 40.0 ms"
    )
    assert summary(streamed((0.2, 0.2, 1))).endswith("tpot p50 none, p99 none")


def test_a_run_as_json() -> None:
    run = took(0.1, 0.2, None)
    limits = thresholds.parse(["latency: med <= 200ms", "latency: max < 1s"])
    assert thresholds.as_json(run, thresholds.judge(limits, run)) == {
        "requests": 3,
        "failed": 1,
        "latency_p50_s": pytest.approx(0.2),
        "latency_p99_s": None,
        "ttft_p50_s": None,
        "ttft_p99_s": None,
        "tpot_p50_s": None,
        "tpot_p99_s": None,
        "tokens": None,
        "thresholds": [
            {
                "text": "latency: med <= 200ms",
                "figure": pytest.approx(0.2),
                "passed": thresholds.judge(limits, run)[0].passed,
            },
            {"text": "latency: max < 1s", "figure": None, "passed": False},
        ],
    }
    assert thresholds.as_json([], ())["latency_p50_s"] is None


def test_a_run_of_streams_as_json() -> None:
    told = thresholds.as_json(THREE, ())
    figures = [told[name] for name in ("ttft_p50_s", "ttft_p99_s", "tpot_p50_s", "tpot_p99_s")]
    assert figures == pytest.approx([0.3, 0.4, 0.03, 0.04])
    assert told["tokens"] == 73


def test_what_was_over_when_a_run_is_interrupted_is_told_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupted(
        _given: object, _protocol: object, _due_s: object, requests: list[Request]
    ) -> None:
        requests += TEN
        raise KeyboardInterrupt

    monkeypatch.setattr("loadtests.load.__main__._run", interrupted)
    log = tmp_path / "log.csv.gz"
    arguments = ["--address=127.0.0.1:9", "--model=m", "--load=5x4", f"--log={log}"]
    assert main(arguments) == 130
    shown = capsys.readouterr()
    assert "interrupted: 10 of " in shown.err
    assert shown.out.startswith("10 requests, 0 failed")
    assert len(request_log.read(log)) == 10


def test_a_kubeconfig_that_is_not_there_is_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv = ["--kubeconfig=/no/file", "--deployment=bert", "--model=m", "--load=5x4"]
    assert main(argv) == 2
    assert capsys.readouterr().err == (
        "load: kubeconfig /no/file: there is no such file, name a readable one\n"
    )


def test_a_log_that_can_not_be_written_takes_no_figures_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def ran(
        _given: object, _protocol: object, _due_s: object, requests: list[Request]
    ) -> None:
        requests += TEN
        (tmp_path / "log").mkdir()

    monkeypatch.setattr("loadtests.load.__main__._run", ran)
    monkeypatch.setattr("loadtests.load.__main__.claim", lambda _path: None)
    arguments = ["--address=127.0.0.1:9", "--model=m", "--load=5x4", f"--log={tmp_path}/log"]
    assert main(arguments) == 1
    shown = capsys.readouterr()
    assert "log: Is a directory, the log is not whole" in shown.err
    assert shown.out.startswith("10 requests, 0 failed")
