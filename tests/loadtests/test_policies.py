"""The comparison of policies: how settings are chosen, what is kept, and the whole of it in small."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autoscaler.config.settings import ForecastSettings
from autoscaler.simulation.forecasts import ForecastRecord
from autoscaler.simulation.peers.catalog import RULES
from loadtests.bench.policies import cells, choose, series
from loadtests.bench.policies.__main__ import (
    ablation,
    bounds,
    curves,
    faults,
    kept,
    ours,
    records,
)
from loadtests.bench.policies.figures import (
    figures_of,
    peers_figures,
    peers_table,
    write_curves,
)
from loadtests.bench.policies.page import page
from loadtests.bench.policies.protocol import Cell, Protocol, scenario
from loadtests.bench.policies.results import Results
from loadtests.bench.policies.servers import BATCHING, SINGLE
from loadtests.bench.policies.settings import confirmations, tuned_points


def tried(headroom: float, attained: float, hours: float) -> dict[str, Any]:
    return {
        "headroom": headroom,
        "attainment_ratio": attained,
        "gpu_hours": hours,
        "good_windows_ratio": attained,
        "worst_window_ratio": attained / 2.0,
        "longest_bad_s": 600.0,
        "changes": 7,
    }


def curve(*points: dict[str, Any], refined: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"default": points[0], "grid": list(points), "refined": list(refined)}


SMOOTH = curve(tried(0.2, 1.0, 50.0), tried(0.5, 0.995, 20.0), tried(0.8, 0.98, 12.0))
SPIKY = curve(tried(0.2, 0.991, 60.0), tried(0.5, 0.97, 30.0), tried(0.8, 0.60, 15.0))


def test_the_cheapest_that_holds() -> None:
    best = choose.cheapest(SMOOTH["grid"], 0.99)
    assert best is not None
    assert best["headroom"] == 0.5
    assert choose.cheapest(SPIKY["grid"], 0.999) is None


def test_tuned_on_the_days_before_takes_what_attains_most_where_nothing_holds() -> None:
    refined = curve(*SMOOTH["grid"], refined=(tried(0.6, 0.99, 17.0),))
    assert choose.tuned(refined, 0.99) == 0.6
    assert choose.tuned(SPIKY, 0.999) == 0.2


def test_hindsight_takes_each_seeds_best() -> None:
    other = curve(tried(0.2, 1.0, 48.0), tried(0.5, 0.985, 19.0))
    found = choose.in_hindsight([SMOOTH, other], 0.99)
    assert found is not None
    assert found.gpu_hours == 34.0
    assert choose.in_hindsight([SMOOTH, SPIKY], 0.995) is None


def test_a_setting_that_failed_when_confirmed_gives_way_to_the_next() -> None:
    found = choose.in_hindsight([SMOOTH], 0.99, failed={0.5})
    assert found is not None
    assert found.headroom == 0.2
    assert choose.one_for_all({"smooth": [SMOOTH]}, 0.99, failed={0.5, 0.2}) is None


def test_one_setting_for_all_must_hold_on_each() -> None:
    chosen = choose.one_for_all({"smooth": [SMOOTH], "spiky": [SPIKY]}, 0.99)
    assert chosen is not None
    headroom, outcomes = chosen
    assert headroom == 0.2
    assert outcomes["spiky"].gpu_hours == 60.0
    assert choose.one_for_all({"smooth": [SMOOTH], "spiky": [SPIKY]}, 0.995) is None


def test_the_worst_of_all_seeds_counts_and_the_mean_of_the_rest() -> None:
    found = choose.outcome(
        [tried(0.5, 1.0, 10.0), tried(0.5, 0.9, 20.0)], headroom=0.5, source="fluid"
    )
    assert (found.attainment_ratio, found.gpu_hours, found.worst_window_ratio) == (0.95, 15.0, 0.45)


def test_another_parameter_is_another_file(tmp_path: Path) -> None:
    cell = Cell(kind="run", series="s", days=1.0, seed=1, policy="keda", headroom=0.7)
    others = [
        Cell(kind="run", series="s", days=1.0, seed=2, policy="keda", headroom=0.7),
        Cell(kind="run", series="s", days=1.0, seed=1, policy="keda", headroom=0.8),
        Cell(kind="run", series="s", days=1.0, seed=1, policy="forescale"),
    ]
    paths = {item.path(tmp_path) for item in (cell, *others)}
    assert len(paths) == 4
    assert cell.path(tmp_path) == replace(cell).path(tmp_path)


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No recorded traces at hand."""
    monkeypatch.setattr(series, "FOLDER", tmp_path / "none")
    for cached in (series.all_series, series.demand, cells._arrivals, cells._trial_of):
        cached.cache_clear()


@pytest.mark.usefixtures("generated")
def test_generated_series_stand_in_for_recorded_ones() -> None:
    names = [item.name for item in series.all_series()]
    assert len(names) == 7
    for name in names:
        tested = series.demand(name, days=1.0, part="test", peak_rps=300.0)
        before = series.demand(name, days=1.0, part="train", peak_rps=300.0)
        assert np.quantile(tested.rates_rps[::60], 0.999) == pytest.approx(300.0)
        assert tested.past_rps.size == 9 * 1440
        # The same scale, and the day before.
        assert before.rates_rps[::60] == pytest.approx(tested.past_rps[-1440:])
        assert before.past_rps.size == 8 * 1440


def nothing_forecast(
    past_rps: NDArray[np.float64], run_rps: NDArray[np.float64], settings: ForecastSettings
) -> ForecastRecord:
    shape = (run_rps.size, 6, 6)
    return ForecastRecord(
        maximum_rps=np.full(shape, np.nan, np.float32),
        skills=np.zeros(shape, np.float32),
        lasts_s=settings.lasts_s,
    )


@pytest.mark.usefixtures("generated")
def test_the_whole_of_it_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(RULES) - {"static", "keda", "hpa-gpu"}:
        monkeypatch.delitem(RULES, name)  # each is compiled for a second
    monkeypatch.setattr(cells, "record_of", nothing_forecast)  # models take minutes to fit
    protocol = Protocol(
        days=0.03, startups_s=(4.0, 100.0), seeds=(1,), names=("smooth", "hourly"), points=4
    )
    results = Results(protocol, tmp_path)
    folder = tmp_path / "cells"
    plans: tuple[Callable[[], list[Cell]], ...] = (
        lambda: [*bounds(protocol), *curves(protocol), *records(protocol)],
        lambda: [*ours(protocol), *faults(protocol), *ablation(protocol)],
        lambda: tuned_points(results),
        lambda: confirmations(results),
    )
    for plan in plans:
        for cell in plan():
            cells.compute(cell, folder)
    figures = figures_of(results)
    names = [figure.name for figure in figures]
    assert "forescale / clairvoyant, start-up 4 s, geometric mean" in names
    assert "GPU-hours saved against every peer, tuned, start-up 100 s" in names
    assert sum("forescale with" in name for name in names) == 5
    assert len(peers_figures(results)) > len(RULES)
    assert peers_table(results).row_count == 1 + 4 * len(RULES)
    write_curves(results, tmp_path)
    told = json.loads((tmp_path / "curves.json").read_text())
    assert set(told["series"]) == {"smooth", "hourly"}
    peers = told["series"]["hourly"]["startups"]["100"]["peers"]
    assert len(peers["keda"]["curve"][0]) == 4
    assert any(peer["confirmed"] for peer in peers.values())


@pytest.mark.usefixtures("generated")
def test_the_second_servers_are_compared_at_their_own_scale() -> None:
    one, batching = (
        scenario("smooth", days=0.03, startup_s=4.0, part="test", server=server)
        for server in (SINGLE, BATCHING)
    )
    # 30 replicas each: of 10 requests a second, and of 8 in 296 ms.
    ratio = batching.open_demand.rates_rps / one.open_demand.rates_rps
    assert ratio == pytest.approx(8.0 / 0.296 / 10.0)
    assert batching.first_replicas == one.first_replicas
    assert kept(BATCHING) != kept(SINGLE)


@pytest.mark.usefixtures("generated")
def test_the_comparison_on_servers_that_batch_and_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in set(RULES) - {"static", "keda"}:
        monkeypatch.delitem(RULES, name)
    monkeypatch.setattr(cells, "record_of", nothing_forecast)
    protocol = Protocol(
        days=0.02, startups_s=(4.0,), seeds=(1,), names=("smooth",), points=3, server=BATCHING
    )
    results = Results(protocol, tmp_path)
    plans: tuple[Callable[[], list[Cell]], ...] = (
        lambda: [*bounds(protocol), *curves(protocol), *records(protocol), *ours(protocol)],
        lambda: tuned_points(results),
    )
    for plan in plans:
        for cell in plan():
            assert cell.server == BATCHING
            cells.compute(cell, tmp_path / "cells")
    ours_, bound = results.ours("smooth", 4.0), results.bound("smooth")
    assert bound is not None
    assert 0.9 < ours_.attainment_ratio <= 1.0
    assert bound["gpu_hours"] < ours_.gpu_hours
    told = {"commit": "abc", "figures": [asdict(figure) for figure in figures_of(results)]}
    text = page(results, told, "2026-01-01")
    assert text.startswith("# What forescale saves on servers that batch\n")
    ratio = ours_.gpu_hours / bound["gpu_hours"]
    assert f"| smooth | {ratio:.2f} | {ours_.attainment_ratio:.2%} |" in text


@pytest.mark.usefixtures("generated")
def test_what_is_kept_is_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Cell(
        kind="point",
        series="smooth",
        days=0.02,
        seed=1,
        startup_s=4.0,
        policy="static",
        headroom=20.0,
    )
    cells.compute(cell, tmp_path)
    found = cells.read(cell, tmp_path)
    # 0.02 days are 29 whole minutes.
    assert found["gpu_hours"] == pytest.approx(20.0 * 29.0 / 60.0)

    def refuse(_: Cell) -> None:
        raise AssertionError("computed again")

    monkeypatch.setitem(cells.KINDS, "point", refuse)
    cells.compute(cell, tmp_path)
