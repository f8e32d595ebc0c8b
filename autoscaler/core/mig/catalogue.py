"""The GPUs that can be cut into MIG slices, as data.

Sources: NVIDIA's MIG user guide (supported profiles), `nvidia-smi mig -lgipp` of A30, A100, H100 and H100 NVL, and
mig-parted's shipped configuration (PCI ids). Two families of placements cover all of them. Names move with driver and
board memory, so what a node's labels say goes before this table.
"""

from __future__ import annotations

import re

from autoscaler.core.mig.geometry import GpuModel, Profile
from autoscaler.errors import UnknownGpu

_MIG_SUFFIX = re.compile(r"-MIG-[\w.+]+$")

# compute slices, memory slices, places, at most; a 3g holds half of the memory with three sevenths of the compute.
_SEVENTHS = {
    "1g": (1, 1, (0, 1, 2, 3, 4, 5, 6), 7),
    "1g+me": (1, 1, (0, 1, 2, 3, 4, 5, 6), 1),
    "1g double": (1, 2, (0, 2, 4, 6), 4),
    "2g": (2, 2, (0, 2, 4), 3),
    "3g": (3, 4, (0, 4), 2),
    "4g": (4, 4, (0,), 1),
    "7g": (7, 8, (0,), 1),
}
_QUARTERS = {1: (1, 1, (0, 1, 2, 3)), 2: (2, 2, (0, 2)), 4: (4, 4, (0,))}


def _sevenths(
    name: str,
    product: str,
    pci_device_ids: tuple[str, ...],
    gb: tuple[int, int, int, int],
    min_driver: int,
    *,
    observed: bool,
    mib: tuple[int | None, int | None, int | None, int | None] = (None, None, None, None),
) -> GpuModel:
    """A GPU of seven compute and eight memory slices; `gb` and `mib` are of one, two, four and eight memory slices."""
    sizes = {memory: (gb[i], mib[i]) for i, memory in enumerate((1, 2, 4, 8))}
    profiles = []
    for kind, (compute, memory, starts, most) in _SEVENTHS.items():
        size_gb, size_mib = sizes[memory]
        suffix = "+me" if kind.endswith("+me") else ""
        profiles.append(
            Profile(
                name=f"{compute}g.{size_gb}gb{suffix}",
                compute_slices=compute,
                memory_slices=memory,
                starts=starts,
                max_instances=most,
                memory_mib=size_mib,
            )
        )
    return GpuModel(
        name=name,
        product=product,
        pci_device_ids=pci_device_ids,
        compute_slices=7,
        memory_slices=8,
        memory_gb=gb[3],
        profiles=tuple(profiles),
        min_driver=min_driver,
        observed=observed,
    )


def _quarters(
    name: str,
    product: str,
    pci_device_ids: tuple[str, ...],
    gb: tuple[int, int, int],
    mib: tuple[int, int, int],
    min_driver: int,
    most: dict[str, int],
    *,
    observed: bool,
) -> GpuModel:
    """A GPU of four compute and four memory slices; `most` names its profiles, such as `2g+me`, with their limits."""
    sizes = {slices: (gb[i], mib[i]) for i, slices in enumerate((1, 2, 4))}
    profiles = []
    for kind, limit in most.items():
        slices = int(kind[0])
        compute, memory, starts = _QUARTERS[slices]
        profiles.append(
            Profile(
                name=f"{slices}g.{sizes[slices][0]}gb{kind[2:]}",
                compute_slices=compute,
                memory_slices=memory,
                starts=starts,
                max_instances=limit,
                memory_mib=sizes[slices][1],
            )
        )
    return GpuModel(
        name=name,
        product=product,
        pci_device_ids=pci_device_ids,
        compute_slices=4,
        memory_slices=4,
        memory_gb=gb[2],
        profiles=tuple(profiles),
        min_driver=min_driver,
        observed=observed,
    )


GPUS: tuple[GpuModel, ...] = (
    _quarters(
        "A30-24GB",
        r"NVIDIA-A30",
        ("0x20B7",),
        (6, 12, 24),
        (5836, 11672, 23344),
        460,
        {"1g": 4, "1g+me": 1, "2g": 2, "2g+me": 1, "4g": 1},
        observed=True,
    ),
    _sevenths(
        "A100-40GB",
        r"NVIDIA-A100-(SXM4|PCIE)-40GB",
        ("0x20B0", "0x20B1", "0x20F1", "0x20F6"),
        (5, 10, 20, 40),
        450,
        observed=True,
        mib=(4864, 9856, 19968, 40192),
    ),
    _sevenths(
        "A100-80GB",
        r"NVIDIA-A[18]00-(SXM4-80GB|80GB-PCIe|PCIE-80GB)",
        ("0x20B2", "0x20B5", "0x20F3", "0x20F5"),
        (10, 20, 40, 80),
        450,
        observed=True,
        mib=(9856, 19968, 40192, 80384),
    ),
    _sevenths(
        "H100-80GB",
        r"NVIDIA-H[18]00-(80GB-HBM3|PCIe|SXM5-80GB|PCIE-80GB)",
        ("0x2330", "0x2331", "0x2322", "0x2324"),
        (10, 20, 40, 80),
        525,
        observed=True,
        mib=(9984, 20096, 40320, None),
    ),
    _sevenths(
        "H100-94GB",
        r"NVIDIA-H[18]00-NVL",
        ("0x2321", "0x233A"),
        (12, 24, 47, 94),
        525,
        observed=True,
        mib=(11008, None, None, None),
    ),
    _sevenths(
        "H100-96GB",
        r"NVIDIA-(GH200-480GB|GH200-96GB|H20)",
        ("0x2342", "0x233D", "0x2329", "0x20B6"),
        (12, 24, 48, 96),
        525,
        observed=False,
    ),
    _sevenths(
        "H200-141GB",
        r"NVIDIA-H200(-NVL)?",
        ("0x2335", "0x233B"),
        (18, 35, 71, 141),
        550,
        observed=True,
        mib=(16384, 33280, 71424, 143360),
    ),
    _sevenths(
        "GH200-144GB",
        r"NVIDIA-GH200-144G.*",
        ("0x2348",),
        (18, 36, 72, 144),
        550,
        observed=False,
    ),
    _sevenths(
        "B200-180GB",
        r"NVIDIA-B200",
        ("0x2901",),
        (23, 45, 90, 180),
        570,
        observed=False,
    ),
    _sevenths(
        "GB200-186GB",
        r"NVIDIA-GB200",
        ("0x2941",),
        (23, 47, 93, 186),
        570,
        observed=False,
    ),
    _sevenths(
        "B300-269GB",
        r"NVIDIA-B300.*",
        ("0x3182",),
        (34, 67, 135, 269),
        580,
        observed=False,
    ),
    _sevenths(
        "GB300-278GB",
        r"NVIDIA-GB300",
        ("0x31C2",),
        (35, 70, 139, 278),
        580,
        observed=False,
    ),
    _quarters(
        "RTX-PRO-6000-96GB",
        r"NVIDIA-RTX-PRO-6000-Blackwell.*",
        ("0x2BB5",),
        (24, 48, 96),
        (24187, 48517, 97280),
        575,
        {
            "1g": 4,
            "1g+me": 1,
            "1g+gfx": 4,
            "1g+me.all": 1,
            "1g-me": 4,
            "2g": 2,
            "2g+gfx": 2,
            "2g+me.all": 1,
            "2g-me": 2,
            "4g": 1,
            "4g+gfx": 1,
        },
        observed=False,
    ),
)


def find_gpu(name: str) -> GpuModel:
    """By the catalogue's name (`A100-80GB`) or the node label `nvidia.com/gpu.product` (`NVIDIA-A100-SXM4-80GB`).

    Raises:
        UnknownGpu: neither.
    """
    # GPU feature discovery adds both: `-SHARED` where several pods share one device.
    product = _MIG_SUFFIX.sub("", name.removesuffix("-SHARED"))
    for gpu in GPUS:
        if gpu.name == name or re.fullmatch(gpu.product, product):
            return gpu
    known = ", ".join(gpu.name for gpu in GPUS)
    raise UnknownGpu(
        f"{name!r} is no GPU that can be cut into MIG slices, known are {known} and their product labels"
    )


def gpus_of(profile: str, slices: int) -> int:
    """On how many GPUs so many slices of one profile are, as many on each as fit.

    Of a profile that is not known, such as one of a newer GPU, as many as its sevenths of compute leave room for.
    """
    known = [one.max_instances for gpu in GPUS for one in gpu.profiles if one.name == profile]
    compute = profile.partition("g")[0]
    each = max(known) if known else 7 // min(7, max(1, int(compute) if compute.isdigit() else 7))
    return -(-slices // each)
