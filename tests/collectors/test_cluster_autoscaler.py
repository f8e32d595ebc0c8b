"""The cluster-autoscaler's status in both of its forms; what is not told is not known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from autoscaler.collectors.cluster_autoscaler import UPDATED, AutoscalerStatus, read, time_s
from autoscaler.errors import SourceInvalid

SAMPLES = Path(__file__).parent / "samples"
NOON_S = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()


def of(name: str) -> AutoscalerStatus:
    return read({"data": {"status": (SAMPLES / name).read_text()}})


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("autoscaler-status.yaml", "OUT_OF_RESOURCES: zone b has no such machines"),
        ("autoscaler-status-1.29.txt", "Backoff"),
    ],
)
def test_both_forms_say_the_same(name: str, told: str) -> None:
    status = of(name)
    assert status.at_s == NOON_S
    growing, refused = status.group("pool-h100"), status.group("prod-pool-h200")
    assert growing is not None
    assert refused is not None
    assert (growing.ready, growing.target, growing.coming, growing.backoff) == (2, 4, 2, None)
    assert growing.changed_s == NOON_S - 40.0
    assert growing.most == 8
    assert (refused.coming, refused.backoff, refused.changed_s) == (0, told, NOON_S - 120.0)


def test_an_empty_group_has_no_counts() -> None:
    group = of("autoscaler-status.yaml").group("empty")
    assert group is not None
    assert (group.ready, group.target, group.coming) == (None, 0, 0)


def test_an_end_that_fits_two_groups_names_none() -> None:
    assert of("autoscaler-status.yaml").group("") is None


def test_a_node_that_is_registered_and_not_ready_is_not_on_its_way_a_second_time() -> None:
    """It is in the list of nodes; and one whose GPUs never show would be on its way for ever."""
    counts = "registered: {total: 4, ready: 1, unready: {total: 3, resourceUnready: 3}}"
    text = (
        "nodeGroups:\n- name: pool\n  health:\n    cloudProviderTarget: 5\n"
        f"    nodeCounts: {{{counts}}}\n"
    )
    group = read({"data": {"status": text}}).group("pool")
    assert group is not None
    assert group.coming == 1


def test_a_group_of_that_very_name_goes_before_one_that_ends_with_it() -> None:
    text = "nodeGroups: [{name: eks-gpu}, {name: gpu}, {name: big-gpu}]"
    status = read({"data": {"status": text}})
    group = status.group("gpu")
    assert group is not None
    assert (group.name, status.group("-gpu")) == ("gpu", None)


def test_it_is_stale_after_three_minutes_and_without_a_time() -> None:
    status = of("autoscaler-status.yaml")
    assert status.stale(NOON_S + 180.0) is None
    assert status.stale(NOON_S + 200.0) == "the cluster-autoscaler's status is 200 s old"
    bare = read({"data": {"status": "nodeGroups: []"}})
    assert bare.stale(NOON_S) == "the cluster-autoscaler's status carries no time"


def test_the_annotation_tells_the_time_where_the_text_does_not() -> None:
    written = {UPDATED: "2026-11-26 12:00:00.123456789 +0000 UTC"}
    told = read({"metadata": {"annotations": written}, "data": {"status": "nodeGroups: []"}})
    assert told.at_s == NOON_S


@pytest.mark.parametrize("text", ["", "hello", "- 1\n", "a: [", "clusterWide: 3"])
def test_rubbish_is_refused_or_says_nothing(text: str) -> None:
    try:
        told = read({"data": {"status": text}})
    except SourceInvalid:
        return
    assert told == AutoscalerStatus(at_s=None, groups=())


@pytest.mark.parametrize(
    "text",
    [
        "time: 2026-13-01 10:00:00",
        "time: 2026-13-45 10:00:00 +0000 UTC",
        "nodeGroups: 5",
        "Cluster-autoscaler status at 2026-13-45 10:00:00 +0000 UTC:\nNodeGroups:\n",
        "Cluster-autoscaler status at noon\nNodeGroups:\n  Name:\n",
    ],
)
def test_what_can_not_be_read_ends_nothing_else(text: str) -> None:
    """Any other error ended the watches of nodes and pods beside it, each time anew."""
    with pytest.raises(SourceInvalid, match="cluster-autoscaler-status"):
        read({"data": {"status": text}})


@pytest.mark.parametrize("text", [None, "", "yesterday", 7, "2026-11-26"])
def test_no_time_is_no_time(text: object) -> None:
    assert time_s(text) is None
