"""The benchmark's series, its peers and its cache."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.bench.forecast import cache, peers
from loadtests.bench.forecast.protocol import QUANTILES, Issued
from loadtests.bench.forecast.series import generated, read_column


def _written(folder: Path, text: str) -> Path:
    path = folder / "trace.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_a_column_is_found_by_the_beginning_of_its_name(tmp_path: Path) -> None:
    path = _written(tmp_path, "minute,f_2aec780b,f_38589360\n0,189,31\n1,168,19\n")
    assert read_column(path, "f_3858").tolist() == [31.0, 19.0]


@pytest.mark.parametrize(("column", "count"), [("f_9", 0), ("f_", 2)])
def test_a_column_that_is_not_one_is_refused(tmp_path: Path, column: str, count: int) -> None:
    path = _written(tmp_path, "minute,f_2aec780b,f_38589360\n0,189,31\n")
    with pytest.raises(ValueError, match=f"{count} of .* begin with {column}"):
        read_column(path, column)


def test_generated_series_are_the_same_each_time() -> None:
    first, second = generated(), generated()
    assert [one.digest for one in first] == [one.digest for one in second]
    assert {one.values.size for one in first} == {14_400}
    assert all((one.values >= 0.0).all() for one in first)


def _every(period: int) -> np.ndarray:
    y = np.random.default_rng(4).poisson(10.0, 2880).astype(np.float64)
    y[::period] += 100.0
    return y


@pytest.mark.parametrize(
    ("y", "season"),
    [
        (_every(30), 30),
        (_every(10), 10),
        (np.random.default_rng(5).poisson(10.0, 2880).astype(np.float64), 1),
        (np.full(2880, 7.0), 1),
    ],
)
def test_the_season_is_where_changes_repeat(y: np.ndarray, season: int) -> None:
    assert peers.season_of(y) == season


class _Model:
    """As statsforecast's: `level` gives the upper ends of intervals."""

    def __init__(self, *, fits: bool = True, finite: bool = True) -> None:
        self.fits = fits
        self.top = 30.0 if finite else np.nan

    def fit(self, y: np.ndarray) -> None:
        if not self.fits:
            raise ValueError("no model able to be fitted")

    def forward(self, y: np.ndarray, h: int, level: list[int]) -> dict[str, Any]:
        upper = {80: 10.0, 90: 20.0, 98: self.top}
        step = -np.arange(h, dtype=np.float64)
        return {"mean": step - 5.0} | {f"hi-{one}": upper[one] + step for one in level}


def _peer(monkeypatch: pytest.MonkeyPatch, model: _Model) -> peers.Peer:
    monkeypatch.setitem(peers.PEERS, "AutoETS", lambda season: model)
    return peers.Peer("AutoETS").fit(np.arange(3000.0))


def test_a_peers_quantiles_are_the_upper_ends_of_its_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forecast = _peer(monkeypatch, _Model()).predict(2, QUANTILES)
    assert forecast.values.tolist() == [[0.0, 10.0, 20.0, 30.0], [0.0, 9.0, 19.0, 29.0]]
    assert forecast.maximum.tolist() == [[0.0, 10.0, 20.0, 30.0], [0.0, 10.0, 20.0, 30.0]]


@pytest.mark.parametrize(("model", "failed"), [(_Model(fits=False), 1), (_Model(finite=False), 0)])
def test_a_peer_that_fails_has_no_answer(
    monkeypatch: pytest.MonkeyPatch, model: _Model, failed: int
) -> None:
    peer = _peer(monkeypatch, model)
    peer.update(np.ones(7))
    assert np.isnan(peer.predict(3, QUANTILES).values).all()
    assert peer.failed_fits_ == failed


def test_what_was_issued_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "forecast" / "one.npz"
    assert cache.read(path) is None
    issued = Issued(values=np.ones((2, 5, 4)), maximum=np.zeros((2, 3, 4)), failed_fits=1)
    cache.write(path, issued)
    found = cache.read(path)
    assert found is not None
    assert found.values.tolist() == issued.values.tolist()
    assert found.maximum.tolist() == issued.maximum.tolist()
    assert (found.failed_fits, found.unanswered) == (1, 0)
    assert [one.name for one in path.parent.iterdir()] == ["one.npz"]


def test_forecasts_are_kept_by_series_and_method() -> None:
    first, second, *_ = generated()
    paths = {cache.path_of(one, method) for one in (first, second) for method in ("Theta", "X")}
    assert len(paths) == 4


def test_rewording_a_comment_computes_nothing_anew() -> None:
    code = '"""Text."""\nA = 1  # why\ndef f():\n    """Text."""\n    return A\n'
    reworded = '"""Other."""\nA = 1\ndef f():\n    """Words."""\n    return A\n'
    assert cache.statements(code) == cache.statements(reworded)
    assert cache.statements(code) != cache.statements(code.replace("A = 1", "A = 2"))


def test_importing_the_library_loads_no_scikit_learn() -> None:
    loaded = "import sys, forecasting; print('sklearn' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", loaded], check=True, capture_output=True, text=True
    )
    assert done.stdout == "False\n"
