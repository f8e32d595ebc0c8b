"""What a pod holds of a node, as the scheduler counts it."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.clients.objects import holders, requests, whole

GPU, SLICE = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"


def asks(restart: str | None = None, **amounts: int) -> dict[str, Any]:
    """A container; `gpu` and `slice` by their short names."""
    names = {"gpu": GPU, "slice": SLICE}
    limits = {names[key]: str(amount) for key, amount in amounts.items()}
    return {"resources": {"limits": limits}, **({"restartPolicy": restart} if restart else {})}


@pytest.mark.parametrize(
    ("containers", "init", "held"),
    [
        pytest.param([asks(gpu=1), asks(gpu=2), asks()], [], {GPU: 3}, id="side by side"),
        pytest.param([asks(gpu=1)], [asks(gpu=1)], {GPU: 1}, id="before the others, the same one"),
        pytest.param([asks(gpu=1)], [asks(gpu=2), asks(gpu=1)], {GPU: 2}, id="the most of them"),
        pytest.param([asks()], [asks(slice=1)], {SLICE: 1}, id="an engine is built, then served"),
        pytest.param(
            [asks(gpu=1)], [asks("Always", gpu=1)], {GPU: 2}, id="one that goes on beside"
        ),
        pytest.param(
            [asks(gpu=1)],
            [asks("Always", gpu=1), asks(gpu=3)],
            {GPU: 4},
            id="one beside another that comes after it",
        ),
        pytest.param([], [], {}, id="nothing"),
    ],
)
def test_what_a_pod_holds(
    containers: list[dict[str, Any]], init: list[dict[str, Any]], held: dict[str, int]
) -> None:
    assert requests({"containers": containers, "initContainers": init}) == held


def test_a_node_is_not_empty_while_an_init_container_holds_a_slice() -> None:
    pod = {
        "metadata": {"namespace": "team", "name": "build"},
        "spec": {"containers": [asks()], "initContainers": [asks(slice=1)]},
    }
    (found,) = holders(pod)
    assert (found.pod, found.shape, found.count) == ("team/build", "1g.10gb", 1)


@pytest.mark.parametrize(
    ("quantity", "count"),
    [
        (2, 2),
        ("8", 8),
        ("1k", 1000),
        ("2M", 2_000_000),
        ("500m", None),
        ("16Gi", None),
        ("", None),
        (None, None),
        ("-1", None),
    ],
)
def test_a_whole_number_as_the_api_server_writes_it(quantity: object, count: int | None) -> None:
    """A GPU that is shared in time by a thousand pods is offered as `1k`."""
    assert whole(quantity) == count


@pytest.mark.parametrize(
    ("resource", "shape", "sure"),
    [
        ("nvidia.com/gpu", "gpu", True),
        ("nvidia.com/mig-1g.10gb.me", "1g.10gb+me", True),
        ("nvidia.com/mig-1g.10gb.shared", "nvidia.com/mig-1g.10gb.shared", True),
        ("nvidia.com/gpu.shared", "nvidia.com/gpu.shared", True),
        ("volcano.sh/vgpu-number", "volcano.sh/vgpu-number", True),
        ("nvidia.com/hostdev", "nvidia.com/hostdev", False),
        ("rdma/hca", None, None),
        ("cpu", None, None),
    ],
)
def test_what_counts_as_holding_a_gpu(resource: str, shape: str | None, sure: bool | None) -> None:
    pod = {
        "metadata": {"namespace": "team", "name": "p"},
        "spec": {"containers": [{"resources": {"limits": {resource: "1"}}}]},
    }
    assert [(item.shape, item.sure) for item in holders(pod)] == (
        [] if shape is None else [(shape, sure)]
    )
