"""What an SRE says of slices. Off by default: no node is looked at, and forescale.io/variant-group has no effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoscaler.core.mig.geometry import Geometry, parse_geometry
from autoscaler.core.switched import Switched


class SlicesMode(Switched):
    """How far forescale may go with slices."""

    OFF = "off"
    RECOMMEND = "recommend"
    AUTO = "auto"


class TemplatesMode(Switched):
    """How far forescale may go with the templates of workloads that name `forescale.io/slice-shapes`."""

    OFF = "off"
    RECOMMEND = "recommend"
    AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePoolSettings:
    """A pool of nodes that no autoscaler grows, whose GPUs may be cut anew by the GPU Operator's MIG manager."""

    labels: Mapping[str, str]
    """By which its nodes are known, such as `pool: a100-mig`."""
    gpu: str
    """Its GPU, by the catalogue's name (`A100-80GB`) or the label `nvidia.com/gpu.product`."""
    configs: Mapping[str, str]
    """By the name in the MIG manager's ConfigMap, how each GPU of a node is cut: `1x3g.40gb+4x1g.10gb`."""
    gpus_per_node: int = 8
    """GPUs of one node; all of them are cut alike."""
    price_per_hour: float | None = None
    """Of one node; None: as much as any other."""

    def slices_of(self, config: str) -> Geometry:
        """The slices of a whole node under that config."""
        counts = parse_geometry(self.configs[config]).counts
        return Geometry(tuple((name, count * self.gpus_per_node) for name, count in counts))


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceSettings:
    """Slices of all pools, and Deployments that serve one model on several shapes."""

    mode: SlicesMode = SlicesMode.OFF
    """`recommend` plans and shows; `auto` also moves replicas within variant groups and has nodes cut anew."""
    pools: Mapping[str, SlicePoolSettings] = field(default_factory=dict)
    """By name. Empty: no node is ever cut anew."""
    patience_s: float = 300.0
    """A node must be wanted cut otherwise for so long before it is touched."""
    settle_s: float = 30.0
    """A node must be seen cordoned and empty for so long before its label is written."""
    watchdog_s: float = 600.0
    """The MIG manager has so long; then the geometry from before is asked for again."""
    backoff_s: float = 900.0
    """A node on which that failed is left alone for this, twice as long each time it fails anew, up to a day."""
    templates: TemplatesMode = TemplatesMode.OFF
    """Whether a Deployment's own template may be changed to a cheaper slice of its `forescale.io/slice-shapes`;
    `recommend` says which line to change."""
    template_patience_s: float = 3600.0
    """For so long the other slice must have been the cheaper one."""
    template_watchdog_s: float = 1800.0
    """The rollout has so long; then the slice from before is asked for again."""
