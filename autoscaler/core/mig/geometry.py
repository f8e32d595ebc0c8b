"""How one GPU may be cut into MIG slices.

A slice is a profile at a place: it takes `memory_slices` memory slices of the GPU from one of the profile's `starts`
on, and two slices may not share one. Memory decides alone: on every GPU of the catalogue what fits by memory also fits
by compute (tests/core/mig enumerates it). A *layout* has places; a *geometry* only counts, which is what Kubernetes
sees, what the MIG manager takes and what is planned with. All arithmetic is on integers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from autoscaler.errors import GpuFrozen, IllegalLayout, UnknownProfile

RESOURCE_PREFIX = "nvidia.com/mig-"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Profile:
    """A kind of slice of one GPU model."""

    name: str
    """As `nvidia-smi` and Kubernetes write it, such as `3g.40gb` or `1g.10gb+me`."""
    compute_slices: int
    memory_slices: int
    starts: tuple[int, ...]
    """Memory slices at which one may begin."""
    max_instances: int
    memory_mib: int | None = None
    """What NVML reports; None: not observed."""

    @property
    def resource(self) -> str:
        """The extended resource under strategy `mixed`, such as `nvidia.com/mig-1g.10gb.me`."""
        return RESOURCE_PREFIX + self.name.replace("+", ".")

    @property
    def plain(self) -> bool:
        """Whether it is an ordinary slice, with neither media engines nor graphics asked for nor left out."""
        return re.fullmatch(r"\d+g\.\d+gb", self.name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """A GPU that can be cut: its size, its profiles, and the labels by which nodes name it."""

    name: str
    product: str
    """Regular expression for the node label `nvidia.com/gpu.product`, without a `-MIG-…` suffix."""
    pci_device_ids: tuple[str, ...]
    compute_slices: int
    memory_slices: int
    memory_gb: int
    profiles: tuple[Profile, ...]
    min_driver: int
    observed: bool
    """False: placements follow from the family, none were seen from this GPU; node labels go before this table."""

    def profile(self, name: str) -> Profile:
        """The profile of that name.

        Raises:
            UnknownProfile: this GPU has none.
        """
        for profile in self.profiles:
            if profile.name == name:
                return profile
        known = ", ".join(profile.name for profile in self.profiles)
        raise UnknownProfile(f"{name!r} is no profile of {self.name}, it has {known}")

    def usable_mib(self, name: str) -> int:
        """Memory that a process finds on such a slice.

        Where NVML's figure was not observed, nine tenths of the slice's share: the least of those that were is
        0.915 (11,008 of 12,032 MiB, H100 NVL).
        """
        profile = self.profile(name)
        if profile.memory_mib is not None:
            return profile.memory_mib
        share = self.memory_gb * 1024 * profile.memory_slices
        return share * 9 // (10 * self.memory_slices)


@dataclass(frozen=True, slots=True, order=True)
class Slice:
    """One profile at one place. `str()` gives `3g.40gb@4`."""

    start: int
    profile: str

    def __str__(self) -> str:
        return f"{self.profile}@{self.start}"


Layout = tuple[Slice, ...]
"""Slices in order of their places."""


@dataclass(frozen=True, slots=True, order=True)
class Geometry:
    """How many slices of which profile: counts of at least one, by name. `str()` gives `1x3g.40gb+4x1g.10gb`."""

    counts: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, counts: Mapping[str, int] | Iterable[str]) -> Geometry:
        """From counts, or from names one for each slice."""
        return cls(tuple(sorted((name, n) for name, n in Counter(counts).items() if n > 0)))

    def count(self, profile: str) -> int:
        return dict(self.counts).get(profile, 0)

    def __str__(self) -> str:
        if not self.counts:
            return "no slices"
        return "+".join(f"{n}x{name}" for name, n in reversed(self.counts))


_PART = re.compile(r"^([1-9]\d?)x([\w.+-]+gb(?:[+-][\w.]+)?)$")


def parse_geometry(text: str) -> Geometry:
    """The reverse of `str()`: `1x3g.40gb+4x1g.10gb`.

    Raises:
        IllegalLayout: it is not written like that, or a profile is there twice.
    """
    counts: dict[str, int] = {}
    # A `+` also begins the suffix of a profile (`1g.10gb+me`): only one before a count separates.
    for part in re.split(r"\+(?=\d+x)", text.strip()):
        match = _PART.match(part)
        if match is None or match[2] in counts:
            raise IllegalLayout(f"{text!r} is no geometry, write for example 1x3g.40gb+4x1g.10gb")
        counts[match[2]] = int(match[1])
    return Geometry.of(counts)


def geometry_of(layout: Iterable[Slice]) -> Geometry:
    """What a layout offers, without places."""
    return Geometry.of(piece.profile for piece in layout)


def free_starts(gpu: GpuModel, layout: Iterable[Slice], profile: str) -> tuple[int, ...]:
    """Places at which one more slice fits beside `layout`.

    Raises:
        UnknownProfile: `profile`, or one in the layout, is none of this GPU.
        IllegalLayout: the layout itself is none.
    """
    wanted, pieces = gpu.profile(profile), tuple(layout)
    taken = _taken(gpu, pieces)
    if sum(1 for piece in pieces if piece.profile == profile) >= wanted.max_instances:
        return ()
    return tuple(start for start in wanted.starts if not taken & _mask(wanted, start))


def can_place(gpu: GpuModel, layout: Iterable[Slice], profile: str) -> bool:
    """Whether one more slice fits beside `layout`; raises as `free_starts` does."""
    return bool(free_starts(gpu, layout, profile))


def fitting_profiles(gpu: GpuModel, layout: Iterable[Slice]) -> tuple[str, ...]:
    """Names of the profiles of which one more fits beside `layout`; raises as `free_starts` does."""
    pieces = tuple(layout)
    return tuple(p.name for p in gpu.profiles if can_place(gpu, pieces, p.name))


def realise(gpu: GpuModel, geometry: Geometry, beside: Iterable[Slice] = ()) -> Layout | None:
    """The first layout with these slices *more* than `beside`, which stay where they are; None: there is none.

    Raises:
        UnknownProfile: a profile is none of this GPU.
        IllegalLayout: `beside` itself is no layout.
    """
    fixed = tuple(sorted(beside))
    _taken(gpu, fixed)
    # Large slices have few places: they go first.
    names = [name for name, count in geometry.counts for _ in range(count)]
    names.sort(key=lambda name: (-gpu.profile(name).memory_slices, name))
    found = _complete(gpu, fixed, tuple(names))
    return None if found is None else tuple(sorted(found))


def _complete(
    gpu: GpuModel, layout: Layout, names: tuple[str, ...], *, same: bool = False
) -> Layout | None:
    """`same`: the last of `layout` is of the profile that comes next."""
    if not names:
        return layout
    # Equal slices are put from left to right, or seven of them would be tried in 5,040 orders.
    behind = layout[-1].start if layout and same else -1
    for start in free_starts(gpu, layout, names[0]):
        if start <= behind:
            continue
        again = names[1:2] == names[:1]
        found = _complete(gpu, (*layout, Slice(start, names[0])), names[1:], same=again)
        if found is not None:
            return found
    return None


def check_layout(gpu: GpuModel, layout: Iterable[Slice]) -> Layout:
    """The layout in order.

    Raises:
        UnknownProfile: a profile is none of this GPU.
        IllegalLayout: slices overlap, begin where none may, or are more than the profile allows.
    """
    pieces = tuple(sorted(layout))
    _taken(gpu, pieces)
    return pieces


def layouts(gpu: GpuModel, profiles: Iterable[str] | None = None) -> Iterator[Layout]:
    """Every layout of these profiles (None: the plain ones), the empty one first."""
    names = _names(gpu, profiles)

    def extend(layout: Layout) -> Iterator[Layout]:
        yield layout
        behind = layout[-1].start if layout else -1
        for name in names:
            for start in free_starts(gpu, layout, name):
                if start > behind:
                    yield from extend((*layout, Slice(start, name)))

    yield from extend(())


def maximal_layouts(gpu: GpuModel, profiles: Iterable[str] | None = None) -> Iterator[Layout]:
    """Layouts beside which nothing more of these profiles fits."""
    names = _names(gpu, profiles)
    for layout in layouts(gpu, names):
        if not any(can_place(gpu, layout, name) for name in names):
            yield layout


@lru_cache(maxsize=256)
def _geometries(gpu: GpuModel, names: tuple[str, ...]) -> tuple[Geometry, ...]:
    found = {geometry_of(layout) for layout in maximal_layouts(gpu, names)}
    return tuple(sorted(g for g in found if not any(_below(g, other) for other in found)))


def geometries(gpu: GpuModel, profiles: Iterable[str] | None = None) -> tuple[Geometry, ...]:
    """The geometries of these profiles (None: the plain ones) to which no slice can be added, in order."""
    return _geometries(gpu, _names(gpu, profiles))


def _below(geometry: Geometry, other: Geometry) -> bool:
    return geometry != other and all(other.count(name) >= n for name, n in geometry.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuState:
    """One GPU as it is: its slices, and those that a pod holds."""

    layout: Layout
    in_use: frozenset[Slice] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class GeometryChange:
    """What the MIG manager will do to one GPU; nothing where both are empty."""

    destroy: Layout
    create: Layout

    @property
    def is_empty(self) -> bool:
        return not self.destroy and not self.create


def diff(gpu: GpuModel, current: GpuState, wanted: Geometry) -> GeometryChange:
    """What it takes to give an idle GPU another geometry.

    Equal counts are no change, whatever the places; otherwise *every* slice goes and is made anew, as mig-parted does.

    Raises:
        GpuFrozen: the geometry would change while a slice is in use.
        IllegalLayout: either is no layout of this GPU, or a slice in use is not in it.
        UnknownProfile: a profile is none of this GPU.
    """
    layout = check_layout(gpu, current.layout)
    if not current.in_use <= set(layout):
        foreign = ", ".join(str(piece) for piece in sorted(current.in_use - set(layout)))
        raise IllegalLayout(f"{foreign} in use, but the GPU has {_words(layout)}")
    made = realise(gpu, wanted)
    if made is None:
        raise IllegalLayout(f"{wanted} does not fit on {gpu.name}")
    if geometry_of(layout) == wanted:
        return GeometryChange(destroy=(), create=())
    if current.in_use:
        held = ", ".join(str(piece) for piece in sorted(current.in_use))
        raise GpuFrozen(f"{held} in use: {geometry_of(layout)} stays until the GPU is idle")
    return GeometryChange(destroy=layout, create=made)


def _names(gpu: GpuModel, profiles: Iterable[str] | None) -> tuple[str, ...]:
    if profiles is None:
        return tuple(profile.name for profile in gpu.profiles if profile.plain)
    return tuple(sorted({gpu.profile(name).name for name in profiles}))


def _mask(profile: Profile, start: int) -> int:
    """The memory slices it takes, as bits."""
    return ((1 << profile.memory_slices) - 1) << start


def _taken(gpu: GpuModel, pieces: tuple[Slice, ...]) -> int:
    """The memory slices that a layout takes, as bits."""
    taken = 0
    for piece in pieces:
        profile = gpu.profile(piece.profile)
        if piece.start not in profile.starts:
            allowed = ", ".join(map(str, profile.starts))
            raise IllegalLayout(f"{piece}: {piece.profile} may begin at {allowed} on {gpu.name}")
        if taken & _mask(profile, piece.start):
            raise IllegalLayout(f"{_words(pieces)}: {piece} overlaps another slice")
        taken |= _mask(profile, piece.start)
    for name, count in Counter(piece.profile for piece in pieces).items():
        limit = gpu.profile(name).max_instances
        if count > limit:
            raise IllegalLayout(f"{count} times {name}: {gpu.name} allows {limit}")
    return taken


def _words(layout: Iterable[Slice]) -> str:
    return ", ".join(str(piece) for piece in layout) or "no slices"
