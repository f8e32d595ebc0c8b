"""Geometries: every one of a GPU is looked at, with the counts that NVIDIA's own figures give."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.mig.catalogue import GPUS, find_gpu
from autoscaler.core.mig.geometry import (
    Geometry,
    GpuModel,
    GpuState,
    Layout,
    Slice,
    can_place,
    check_layout,
    diff,
    fitting_profiles,
    free_starts,
    geometries,
    geometry_of,
    layouts,
    maximal_layouts,
    parse_geometry,
    realise,
)
from autoscaler.errors import GpuFrozen, IllegalLayout, UnknownGpu, UnknownProfile

A100 = find_gpu("A100-80GB")
A30 = find_gpu("A30-24GB")
SINGLES = ("1g.10gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb")
SEVENTHS = [gpu for gpu in GPUS if gpu.memory_slices == 8]
QUARTERS = [gpu for gpu in GPUS if gpu.memory_slices == 4]


def named(gpus: list[GpuModel]) -> list[object]:
    return [pytest.param(gpu, id=gpu.name) for gpu in gpus]


def layout(*texts: str) -> Layout:
    """`3g.40gb@4` and so on."""
    pieces = (text.rsplit("@", 1) for text in texts)
    return tuple(sorted(Slice(int(start), profile) for profile, start in pieces))


# ---------------------------------------------------------------- the catalogue


def test_both_families_are_there() -> None:
    assert len(GPUS) == 13
    assert (len(SEVENTHS), len(QUARTERS)) == (11, 2)


@pytest.mark.parametrize(
    ("product", "name"),
    [
        ("NVIDIA-A100-SXM4-40GB", "A100-40GB"),
        ("NVIDIA-A100-PCIE-40GB", "A100-40GB"),
        ("NVIDIA-A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA-A100-80GB-PCIe", "A100-80GB"),
        ("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "A100-80GB"),
        ("NVIDIA-A100-SXM4-80GB-SHARED", "A100-80GB"),
        ("NVIDIA-A30", "A30-24GB"),
        ("NVIDIA-H100-80GB-HBM3", "H100-80GB"),
        ("NVIDIA-H100-PCIe", "H100-80GB"),
        ("NVIDIA-H100-NVL", "H100-94GB"),
        ("NVIDIA-H200", "H200-141GB"),
        ("NVIDIA-GH200-480GB", "H100-96GB"),
        ("NVIDIA-B200", "B200-180GB"),
        ("NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition", "RTX-PRO-6000-96GB"),
    ],
)
def test_a_node_label_names_its_gpu(product: str, name: str) -> None:
    assert find_gpu(product).name == name


def test_labels_name_one_gpu_each() -> None:
    for gpu in GPUS:
        assert find_gpu(gpu.name) is gpu
        assert [other for other in GPUS if re.fullmatch(other.product, gpu.name)] == []


@pytest.mark.parametrize("name", ["NVIDIA-L4", "Tesla-V100-SXM2-16GB", "", "a100"])
def test_an_unknown_gpu_is_refused_with_what_is_known(name: str) -> None:
    with pytest.raises(UnknownGpu, match=r"is no GPU .* known are A30-24GB, A100-40GB"):
        find_gpu(name)


def test_an_unknown_profile_is_refused_with_what_is_known() -> None:
    with pytest.raises(UnknownProfile, match=r"'2g.10gb' is no profile of A100-80GB, it has 1g.10"):
        can_place(A100, (), "2g.10gb")


def test_a_resource_has_dots_for_plus_signs() -> None:
    assert A100.profile("1g.10gb+me").resource == "nvidia.com/mig-1g.10gb.me"


@pytest.mark.parametrize(
    ("gpu", "profile", "mib"),
    [
        ("A100-80GB", "3g.40gb", 40192),
        ("H200-141GB", "1g.18gb", 16384),
        # Not observed: nine tenths of one eighth of 96 GB.
        ("H100-96GB", "1g.12gb", 11059),
        ("H100-94GB", "1g.12gb", 11008),
    ],
)
def test_usable_memory(gpu: str, profile: str, mib: int) -> None:
    assert find_gpu(gpu).usable_mib(profile) == mib


# ---------------------------------------------------------------- every layout of one GPU


def places(gpu: GpuModel) -> list[tuple[object, ...]]:
    return [
        (p.compute_slices, p.memory_slices, p.starts, p.max_instances)
        for p in gpu.profiles
        if p.plain
    ]


def test_a_family_has_the_same_places() -> None:
    assert [gpu.name for gpu in SEVENTHS if places(gpu) != places(A100)] == []
    assert [gpu.name for gpu in QUARTERS if places(gpu) != places(A30)] == []


def test_sevenths_enumerated() -> None:
    gpu = A100
    double = next(
        p.name for p in gpu.profiles if p.plain and (p.compute_slices, p.memory_slices) == (1, 2)
    )
    plain = [p.name for p in gpu.profiles if p.plain]
    without = [name for name in plain if name != double]
    assert sum(1 for _ in layouts(gpu, without)) == 298
    # The rows of NVIDIA's figure: six left halves by three right ones, and the whole.
    assert sum(1 for _ in maximal_layouts(gpu, without)) == 6 * 3 + 1
    assert len(geometries(gpu, without)) == 12
    assert sum(1 for _ in layouts(gpu)) == 723
    assert sum(1 for _ in maximal_layouts(gpu)) == 78
    assert len(geometries(gpu)) == 28


def test_quarters_enumerated() -> None:
    assert sum(1 for _ in layouts(A30)) == 26
    assert sum(1 for _ in maximal_layouts(A30)) == 5
    assert len(geometries(A30)) == 4


def test_the_geometries_of_an_a100_are_these_twelve() -> None:
    assert {str(geometry) for geometry in geometries(A100, SINGLES)} == {
        "1x7g.80gb",
        "1x4g.40gb+1x3g.40gb",
        "1x4g.40gb+1x2g.20gb+1x1g.10gb",
        "1x4g.40gb+3x1g.10gb",
        "2x3g.40gb",
        "1x3g.40gb+2x2g.20gb",
        "1x3g.40gb+1x2g.20gb+2x1g.10gb",
        "1x3g.40gb+4x1g.10gb",
        "3x2g.20gb+1x1g.10gb",
        "2x2g.20gb+3x1g.10gb",
        "1x2g.20gb+5x1g.10gb",
        "7x1g.10gb",
    }


@pytest.mark.parametrize("gpu", named([A100, A30]))
def test_properties_of_every_layout(gpu: GpuModel) -> None:
    for placed in layouts(gpu):
        profiles = [gpu.profile(piece.profile) for piece in placed]
        cells = [
            cell
            for piece, profile in zip(placed, profiles, strict=True)
            for cell in range(piece.start, piece.start + profile.memory_slices)
        ]
        assert len(cells) == len(set(cells)), "two slices share memory"
        assert all(0 <= cell < gpu.memory_slices for cell in cells)
        # Memory is checked alone because compute then never overflows.
        assert sum(profile.compute_slices for profile in profiles) <= gpu.compute_slices
        assert check_layout(gpu, reversed(placed)) == placed
        again = realise(gpu, geometry_of(placed))
        assert again is not None
        assert geometry_of(again) == geometry_of(placed)


@pytest.mark.parametrize("gpu", named([A100, A30]))
def test_what_can_be_placed_is_what_makes_a_layout(gpu: GpuModel) -> None:
    names = [p.name for p in gpu.profiles if p.plain and p.name != "1g.20gb"]
    every = set(layouts(gpu, names))
    for placed, name in itertools.product(every, names):
        for start in range(gpu.memory_slices):
            wider = tuple(sorted((*placed, Slice(start, name))))
            assert (start in free_starts(gpu, placed, name)) == (wider in every)


ILLEGAL_SEVENTHS = [
    {"1g.10gb": 8},
    {"2g.20gb": 4},
    {"4g.40gb": 2},
    {"3g.40gb": 3},
    {"3g.40gb": 2, "1g.10gb": 1},
    {"4g.40gb": 1, "3g.40gb": 1, "1g.10gb": 1},
    {"2g.20gb": 3, "1g.10gb": 2},
    {"3g.40gb": 1, "2g.20gb": 2, "1g.10gb": 1},
    {"3g.40gb": 1, "1g.10gb": 5},
    {"1g.20gb": 4, "1g.10gb": 1},
    {"1g.20gb": 3, "3g.40gb": 1},
    {"7g.80gb": 1, "1g.10gb": 1},
    {"1g.10gb+me": 2},
]


@pytest.mark.parametrize("counts", ILLEGAL_SEVENTHS, ids=str)
def test_what_does_not_fit_on_sevenths(counts: dict[str, int]) -> None:
    assert realise(A100, Geometry.of(counts)) is None


@pytest.mark.parametrize(
    "counts",
    [{"1g.6gb": 5}, {"2g.12gb": 3}, {"2g.12gb": 1, "1g.6gb": 3}, {"2g.12gb+me": 2}],
    ids=str,
)
def test_what_does_not_fit_on_quarters(counts: dict[str, int]) -> None:
    assert realise(A30, Geometry.of(counts)) is None


# ---------------------------------------------------------------- beside what is in use


def test_where_a_slice_was_left_decides_what_still_fits() -> None:
    left, right = layout("3g.40gb@0"), layout("3g.40gb@4")
    assert free_starts(A100, left, "1g.10gb") == (4, 5, 6)
    assert free_starts(A100, right, "1g.10gb") == (0, 1, 2, 3)
    assert can_place(A100, right, "4g.40gb")
    assert not can_place(A100, left, "4g.40gb")


def test_single_slices_scattered_block_a_larger_one() -> None:
    scattered = layout("1g.10gb@0", "1g.10gb@1", "1g.10gb@5")
    assert not can_place(A100, scattered, "3g.40gb")
    assert fitting_profiles(A100, scattered) == (*("1g.10gb", "1g.10gb+me", "1g.20gb", "2g.20gb"),)


def test_slices_are_added_beside_what_stays() -> None:
    assert realise(A100, Geometry.of({"1g.10gb": 4}), layout("3g.40gb@0")) is None
    beside_right = realise(A100, Geometry.of({"1g.10gb": 4}), layout("3g.40gb@4"))
    assert beside_right == layout(
        *("1g.10gb@0", "1g.10gb@1", "1g.10gb@2", "1g.10gb@3", "3g.40gb@4")
    )


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("3g.40gb@2",), "3g.40gb may begin at 0, 4"),
        (("3g.40gb@4", "1g.10gb@6"), "overlaps another slice"),
        (("1g.10gb+me@0", "1g.10gb+me@1"), "2 times 1g.10gb.me: A100-80GB allows 1"),
    ],
)
def test_an_illegal_layout_is_refused(texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(IllegalLayout, match=words):
        check_layout(A100, layout(*texts))


# ---------------------------------------------------------------- from one geometry to another


def test_equal_counts_are_no_change_wherever_they_lie() -> None:
    now = GpuState(layout=layout("1g.10gb@6", "3g.40gb@0"), in_use=frozenset(layout("3g.40gb@0")))
    assert diff(A100, now, Geometry.of({"3g.40gb": 1, "1g.10gb": 1})).is_empty


def test_an_idle_gpu_is_rebuilt_as_a_whole() -> None:
    now = GpuState(layout=layout("3g.40gb@0", "3g.40gb@4"))
    change = diff(A100, now, Geometry.of({"3g.40gb": 1, "1g.10gb": 3}))
    assert change.destroy == now.layout
    assert geometry_of(change.create) == Geometry.of({"3g.40gb": 1, "1g.10gb": 3})


def test_a_gpu_with_a_slice_in_use_is_frozen() -> None:
    now = GpuState(layout=layout("3g.40gb@0", "3g.40gb@4"), in_use=frozenset(layout("3g.40gb@4")))
    with pytest.raises(GpuFrozen, match=r"3g.40gb@4 in use: 2x3g.40gb stays"):
        diff(A100, now, Geometry.of({"3g.40gb": 1, "1g.10gb": 4}))


def test_a_geometry_that_fits_nowhere_is_refused_before_anything_is_destroyed() -> None:
    with pytest.raises(IllegalLayout, match="8x1g.10gb does not fit on A100-80GB"):
        diff(A100, GpuState(layout=()), Geometry.of({"1g.10gb": 8}))


def test_a_slice_in_use_that_is_not_there_is_refused() -> None:
    ghost = GpuState(layout=(), in_use=frozenset(layout("1g.10gb@0")))
    with pytest.raises(IllegalLayout, match="1g.10gb@0 in use, but the GPU has no slices"):
        diff(A100, ghost, Geometry.of({"1g.10gb": 1}))


EVERY_A100 = list(layouts(A100, SINGLES))


@settings(deadline=None, derandomize=True)
@given(data=st.data())
def test_no_slice_in_use_is_ever_destroyed(data: st.DataObject) -> None:
    state: GpuState = GpuState(layout=data.draw(st.sampled_from(EVERY_A100)))
    for _ in range(data.draw(st.integers(1, 12))):
        used = (
            data.draw(st.frozensets(st.sampled_from(state.layout))) if state.layout else frozenset()
        )
        state = GpuState(layout=state.layout, in_use=used)
        wanted = geometry_of(data.draw(st.sampled_from(EVERY_A100)))
        try:
            change = diff(A100, state, wanted)
        except GpuFrozen:
            assert used
            continue
        assert not used & set(change.destroy)
        if not change.is_empty:
            state = GpuState(layout=change.create)
        assert geometry_of(state.layout) == wanted


@pytest.mark.parametrize("text", ["1x3g.40gb+4x1g.10gb", "7x1g.10gb", "6x1g.10gb+1x1g.10gb+me"])
def test_a_geometry_is_read_as_it_is_written(text: str) -> None:
    geometry = parse_geometry(text)
    assert parse_geometry(str(geometry)) == geometry


@pytest.mark.parametrize("text", ["", "3g.40gb", "0x1g.10gb", "1x1g.10gb+1x1g.10gb", "all-1g"])
def test_what_is_no_geometry_is_refused(text: str) -> None:
    with pytest.raises(IllegalLayout, match="write for example"):
        parse_geometry(text)
