"""Issued forecasts in build/bench/forecast: what nothing changed of is not computed again.

A file is named by series, method and a digest of all that the forecasts depend on: values, protocol, the method's own
code (not its comments) and the libraries under it.
"""

from __future__ import annotations

import ast
import hashlib
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import forecasting
from loadtests.bench.forecast import peers, protocol, subject
from loadtests.bench.forecast.protocol import Issued
from loadtests.bench.forecast.series import Series
from loadtests.bench.report import FOLDER


def path_of(series: Series, method: str) -> Path:
    """Where the forecasts of `method` for `series` are kept."""
    digest = hashlib.sha256(series.digest.encode())
    digest.update(_code_of(method))
    stem = re.sub(r"\W+", "-", f"{series.name} {method}")
    return FOLDER / "forecast" / f"{stem}-{digest.hexdigest()[:12]}.npz"


def read(path: Path) -> Issued | None:
    """None: there is none."""
    if not path.is_file():
        return None
    with np.load(path) as stored:
        return Issued(
            values=stored["values"],
            maximum=stored["maximum"],
            failed_fits=int(stored["failed_fits"]),
            unanswered=int(stored["unanswered"]),
        )


def write(path: Path, issued: Issued) -> None:
    """A reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # NumPy adds .npz to a name that does not end in it.
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(
        partial,
        values=issued.values,
        maximum=issued.maximum,
        failed_fits=issued.failed_fits,
        unanswered=issued.unanswered,
    )
    partial.replace(path)


def _code_of(method: str) -> bytes:
    files = [Path(str(protocol.__file__))]
    libraries = ["numpy"]
    if method == subject.NAME:
        files += [Path(str(subject.__file__))]
        files += sorted(Path(str(forecasting.__file__)).parent.rglob("*.py"))
        libraries += ["scikit-learn"]
    else:
        files += [Path(str(peers.__file__))]
        libraries += ["statsforecast"]
    parts = [statements(file.read_text()) for file in files]
    return "\0".join(parts + [_version(name) for name in libraries]).encode()


def statements(source: str) -> str:
    """The code without comments and docstrings: rewording one costs no hour of computing."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"
