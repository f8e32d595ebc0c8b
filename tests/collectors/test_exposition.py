"""From series to samples: labels of several exporters, parts that add up, doubles that must not."""

from __future__ import annotations

import pytest

from autoscaler.clients.prometheus import Series
from autoscaler.collectors import exposition
from autoscaler.collectors.presets import TRITON, Preset
from autoscaler.config import QuerySet
from autoscaler.core.types import PodGpus


def series(value: float | None, **labels: str) -> Series:
    return Series(labels=labels, points=((1000.0, value),))


POD = {"namespace": "team", "pod": "a", "model": "m"}


@pytest.mark.parametrize(
    "labels",
    [
        {"namespace": "team", "pod": "a"},
        {"kubernetes_namespace": "team", "kubernetes_pod_name": "a"},
        {"exported_namespace": "team", "exported_pod": "a"},
        {"namespace": "team", "pod_name": "a"},
    ],
)
def test_the_pod_by_the_labels_of_usual_scrape_configurations(labels: dict[str, str]) -> None:
    assert exposition.PodLabels(TRITON).pod(labels) == ("team", "a")


def test_the_labels_that_the_policy_names_win() -> None:
    preset = Preset(queries=QuerySet(namespace_label="ns", pod_label="replica"))
    labels = {"ns": "x", "replica": "y", **POD, "kubernetes_namespace": "z"}
    assert exposition.PodLabels(preset).pod(labels) == ("x", "y")


def test_no_pod_speaks_for_one_of_another_namespace() -> None:
    """What it exports as its namespace stays as it is where targets have that by another name."""
    forged = {"kubernetes_namespace": "mine", "kubernetes_pod_name": "evil", **POD}
    assert exposition.PodLabels(TRITON).pod(forged) is None
    table = exposition.counter_table([series(1e12, **forged), series(4.0, **POD)], TRITON)
    assert (table.values, table.doubled) == ({("team", "a", "m"): 4.0}, set())
    # Where targets have `namespace`, Prometheus gives what is exported another name.
    told = {"namespace": "mine", "pod": "b", "exported_namespace": "team", "exported_pod": "a"}
    assert exposition.PodLabels(TRITON).pod(told) == ("mine", "b")


def test_reasons_and_versions_add_up() -> None:
    table = exposition.counter_table(
        [
            series(1.0, **POD, reason="REJECTED", version="1"),
            series(2.0, **POD, reason="OTHER", version="1"),
            series(4.0, **POD, reason="OTHER", version="2"),
        ],
        TRITON,
    )
    assert table.values == {("team", "a", "m"): 7.0}
    assert table.doubled == set()


def test_a_sum_that_lacks_a_part_or_has_it_back_is_unknown_once() -> None:
    """1,000,000 of version 1 and 10 of 2: without the first it fell to 10, and came back as a million requests."""
    one, two = {**POD, "version": "1"}, {**POD, "version": "2"}
    other = {**POD, "pod": "b"}
    answers = [
        [series(1e6, **one), series(10.0, **two), series(7.0, **other)],
        [series(1e6, **one), series(12.0, **two), series(8.0, **other)],
        [series(14.0, **two), series(9.0, **other)],
        [series(16.0, **two), series(9.0, **other)],
        [series(1e6, **one), series(18.0, **two)],
        [series(1e6, **one), series(20.0, **two), series(9.0, **other)],
    ]
    told = []
    before: exposition.Parts = {}
    for answer in answers:
        table = exposition.counter_table(answer, TRITON)
        before = table.compared(before)
        told.append((table.values[("team", "a", "m")], table.values.get(("team", "b", "m"))))
    assert told == [
        (1000010.0, 7.0),
        (1000012.0, 8.0),
        (None, 9.0),
        (16.0, 9.0),
        (None, None),
        (1000020.0, 9.0),
    ]


def test_two_scrapes_of_one_pod_are_not_added_up() -> None:
    table = exposition.counter_table(
        [series(100.0, **POD, job="x"), series(104.0, **POD, job="y")], TRITON
    )
    assert table.values == {("team", "a", "m"): 104.0}
    assert table.doubled == {("team", "a")}


def test_more_requests_than_a_server_can_hold_are_unknown() -> None:
    """An exporter's underflow: 1e18 requests would wait, and the fleet would grow up to its brake."""
    table = exposition.counter_table(
        [
            series(1e9, **POD),
            series(6e8, **POD | {"pod": "b", "reason": "x"}),
            series(6e8, **POD | {"pod": "b", "reason": "y"}),
            series(1e18, **POD | {"pod": "c"}),
        ],
        TRITON,
        most=exposition.MOST_PRESENT,
    )
    assert table.values == {
        ("team", "a", "m"): 1e9,
        ("team", "b", "m"): None,
        ("team", "c", "m"): None,
    }


def test_one_unknown_part_makes_the_whole_unknown() -> None:
    table = exposition.counter_table(
        [series(1.0, **POD, reason="A"), series(None, **POD, reason="B")], TRITON
    )
    assert table.values == {("team", "a", "m"): None}


def test_series_without_a_pod_are_left_out() -> None:
    assert exposition.counter_table([series(1.0, model="m")], TRITON).values == {}


def test_a_summary_without_a_recent_request_is_there_all_the_same() -> None:
    """Triton's is NaN a minute after the last one."""
    idle = exposition.curve_table(
        [series(None, **POD, quantile="0.99")], TRITON, label="quantile", x_scale=1.0, y_scale=1e-6
    )
    counted = exposition.counter_table([series(100.0, **POD)], TRITON)
    found = exposition.samples({"success": counted}, idle, {}, {("team", "a"): 1000.0})
    (model,) = found["team", "a"].models
    assert (model.latency_quantiles, model.summarised) == ((), True)


def test_quantiles_and_buckets_are_in_seconds_and_ascending() -> None:
    quantiles = exposition.curve_table(
        [series(250_000.0, **POD, quantile="0.99"), series(90_000.0, **POD, quantile="0.5")],
        TRITON,
        label="quantile",
        x_scale=1.0,
        y_scale=1e-6,
    )
    assert quantiles[("team", "a", "m")] == ((0.5, 0.09), (0.99, 0.25))
    buckets = exposition.curve_table(
        [series(9.0, **POD, le="+Inf"), series(5.0, **POD, le="100"), series(7.0, **POD, le="x")],
        TRITON,
        label="le",
        x_scale=1e-3,
        y_scale=1.0,
    )
    assert buckets[("team", "a", "m")] == ((0.1, 5.0), (1e308, 9.0))


def test_a_pod_without_a_scrape_time_is_no_sample() -> None:
    counters = {"success": exposition.counter_table([series(3.0, **POD)], TRITON)}
    assert exposition.samples(counters, {}, {}, {}) == {}
    found = exposition.samples(counters, {}, {}, {("team", "a"): 998.0})
    sample = found[("team", "a")]
    assert sample.sampled_at_s == 998.0
    assert sample.models[0].success == 3.0
    assert sample.models[0].pending is None


def test_the_last_error_of_each_gpu_that_a_pod_holds() -> None:
    held = {"exported_namespace": "team", "exported_pod": "a", "namespace": "x", "pod": "dcgm"}
    found = exposition.gpu_errors(
        [
            series(79.0, **held, gpu="0"),
            series(0.0, **held, gpu="1"),
            series(None, **held, gpu="2"),
            series(45.0, **held, gpu="3"),
            series(0.0, namespace="team", pod="b"),
            series(48.0, Hostname="n1"),
        ]
    )
    assert found == {
        ("team", "a"): PodGpus(pod="a", xids=(45, 79)),
        ("team", "b"): PodGpus(pod="b"),
    }
