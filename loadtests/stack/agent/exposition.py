"""What the agent tells Prometheus: the targets to scrape, and GPU metrics in dcgm-exporter's format."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.stack.agent.api import Object

MEMORY_MIB = 81_559


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One virtual GPU and the pod that holds it."""

    node: str
    index: int
    namespace: str = ""
    pod: str = ""
    container: str = ""
    busy_ratio: float = 0.0
    xid: int = 0
    """The last error; 0: it has had none."""


def server_target(pod: Object, address: str, port: int) -> Object:
    """One http_sd entry, labelled as the usual relabelling of a pod scrape would: namespace, pod, node and `app`."""
    metadata = pod["metadata"]
    labels = {
        "namespace": metadata["namespace"],
        "pod": metadata["name"],
        "node": pod["spec"]["nodeName"],
        "container": pod["spec"]["containers"][0]["name"],
    }
    if "app" in metadata.get("labels", {}):
        labels["app"] = metadata["labels"]["app"]
    return {"targets": [f"{address}:{port}"], "labels": labels}


def dcgm_target(node: str, agent: str) -> Object:
    """The exporter of one node. Its own pod and namespace are target labels, so that Prometheus renames the workload's
    to exported_pod and exported_namespace, as with honorLabels: false."""
    return {
        "targets": [agent],
        "labels": {
            "__metrics_path__": f"/dcgm/{node}",
            "namespace": "gpu-operator",
            "pod": f"dcgm-exporter-{node}",
        },
    }


def dcgm_text(devices: list[Device]) -> str:
    """The exposition of one node's exporter."""
    busy = [(d, d.busy_ratio) for d in devices]
    families = (
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "Ratio of time the graphics engine is active.", busy),
        ("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).", [(d, 100.0 * r) for d, r in busy]),
        ("DCGM_FI_DEV_XID_ERRORS", "Value of the last XID error encountered.", [(d, float(d.xid)) for d in devices]),
        ("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB).", [(d, 2000.0 if d.pod else 0.0) for d in devices]),
        (
            "DCGM_FI_DEV_FB_FREE",
            "Framebuffer memory free (in MiB).",
            [(d, MEMORY_MIB - (2000.0 if d.pod else 0.0)) for d in devices],
        ),
    )  # fmt: skip
    lines = []
    for name, meaning, values in families:
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
        lines += [f"{name}{{{_labels(device)}}} {value:.6g}" for device, value in values]
    return "\n".join(lines) + "\n"


def _labels(device: Device) -> str:
    pairs = {
        "gpu": str(device.index),
        "UUID": f"GPU-{device.node}-{device.index}",
        "device": f"nvidia{device.index}",
        "modelName": "Virtual-GPU",
        "Hostname": device.node,
        "container": device.container,
        "namespace": device.namespace,
        "pod": device.pod,
    }
    return ",".join(f'{key}="{value}"' for key, value in pairs.items())
