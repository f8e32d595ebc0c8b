"""What a pod asks of a node, read from its template: resources, labels, taints that it bears, and how it is spread."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.collectors.node_needs import node_needs
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.nodes.placement import Placement, Requirement, SpreadRule, Toleration

GPU = "nvidia.com/gpu"


@pytest.mark.parametrize(
    ("spec", "needs"),
    [
        ({"containers": [{"resources": {"limits": {GPU: 2}}}]}, NodeNeeds(resource=GPU, count=2)),
        (
            {
                "containers": [
                    {"resources": {"requests": {"cpu": "1", "nvidia.com/mig-1g.10gb": "1"}}},
                    {"resources": {}},
                ],
                "nodeSelector": {"zone": "a"},
            },
            NodeNeeds(resource="nvidia.com/mig-1g.10gb", count=1, selector=(("zone", "a"),)),
        ),
        (
            {
                "containers": [{"resources": {"limits": {GPU: 1}}}],
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {
                                    "matchExpressions": [
                                        {"key": "gpu", "operator": "In", "values": ["h100"]},
                                        {"key": "z", "operator": "In", "values": ["a", "b"]},
                                    ]
                                }
                            ]
                        }
                    }
                },
            },
            NodeNeeds(
                resource=GPU,
                count=1,
                selector=(("gpu", "h100"),),
                placement=Placement(
                    terms=(
                        (
                            Requirement(key="gpu", operator="In", values=("h100",)),
                            Requirement(key="z", operator="In", values=("a", "b")),
                        ),
                    )
                ),
            ),
        ),
        (
            {
                "containers": [{"resources": {"limits": {GPU: 1}}}],
                "tolerations": [
                    {"key": "dedicated", "value": "bert", "effect": "NoSchedule"},
                    {"key": GPU, "operator": "Exists"},
                    # For five minutes it is not for good.
                    {
                        "key": "spot",
                        "operator": "Exists",
                        "effect": "NoExecute",
                        "tolerationSeconds": 300,
                    },
                ],
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {"matchExpressions": [{"key": "spot", "operator": "DoesNotExist"}]},
                                {
                                    "matchFields": [
                                        {"key": "metadata.name", "operator": "In", "values": ["n1"]}
                                    ]
                                },
                            ]
                        }
                    }
                },
            },
            NodeNeeds(
                resource=GPU,
                count=1,
                placement=Placement(
                    terms=(
                        (Requirement(key="spot", operator="DoesNotExist"),),
                        (Requirement(key="metadata.name", operator="In", values=("n1",)),),
                    ),
                    tolerations=(
                        Toleration(key="dedicated", value="bert", effect="NoSchedule"),
                        Toleration(key=GPU, operator="Exists"),
                    ),
                ),
            ),
        ),
        ({"containers": [{"resources": {"limits": {"cpu": 1}}}]}, None),
        ({}, None),
    ],
)
def test_what_a_pod_asks_of_a_node(spec: dict[str, Any], needs: NodeNeeds | None) -> None:
    assert node_needs({"spec": spec}) == needs


HOSTS = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}}}
ZONES = {
    "topologyKey": "topology.kubernetes.io/zone",
    "maxSkew": 2,
    "whenUnsatisfiable": "DoNotSchedule",
    "labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]},
}


@pytest.mark.parametrize(
    ("constraint", "spread"),
    [
        # DoNotSchedule and a skew of 1 are what Kubernetes assumes.
        (HOSTS, SpreadRule(key="kubernetes.io/hostname")),
        (ZONES, SpreadRule(key="topology.kubernetes.io/zone", max_skew=2)),
        (ZONES | {"whenUnsatisfiable": "ScheduleAnyway"}, None),
        (ZONES | {"labelSelector": {"matchLabels": {"app": "b"}}}, None),
        (ZONES | {"labelSelector": {}}, SpreadRule(key="topology.kubernetes.io/zone", max_skew=2)),
        (ZONES | {"labelSelector": None}, None),
        (ZONES | {"topologyKey": "rack"}, None),
    ],
)
def test_what_spreads_pods_of_one_kind(
    constraint: dict[str, Any], spread: SpreadRule | None
) -> None:
    needs = node_needs(_template(topologySpreadConstraints=[constraint]))
    assert needs is not None
    assert needs.placement.spreads == (() if spread is None else (spread,))


@pytest.mark.parametrize(
    ("term", "alone"),
    [
        (HOSTS, True),
        (HOSTS | {"topologyKey": "topology.kubernetes.io/zone"}, False),
        (HOSTS | {"labelSelector": {"matchLabels": {"app": "b"}}}, False),
    ],
)
def test_pods_that_want_no_second_of_their_kind_on_a_node(
    term: dict[str, Any], alone: bool
) -> None:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    needs = node_needs(_template(affinity={"podAntiAffinity": required}))
    assert needs is not None
    assert needs.placement.alone == alone


def _template(**spec: Any) -> dict[str, Any]:
    containers = [{"resources": {"limits": {GPU: 1}}}]
    return {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": containers, **spec}}
