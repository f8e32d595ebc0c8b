"""A fit takes one core, whatever the machine has."""

from __future__ import annotations

import os
import subprocess
import sys

# What threads spin away depends on who else is there, so they are counted.
FIT = """
import numpy as np
from threadpoolctl import threadpool_info
from forecasting import threads, trees

seen = []
limited = threads.one_thread


class Counted:
    def __enter__(self):
        self.limits = limited()
        self.limits.__enter__()
        seen.append(sum(pool["num_threads"] > 1 for pool in threadpool_info()))

    def __exit__(self, *how):
        self.limits.__exit__(*how)


trees.one_thread = Counted
features = np.random.default_rng(0).normal(size=(400, 3))
fitted = trees.QuantileTrees((0.5,), random_state=0, trees=3).fit(features, features[:, 0])
fitted.predict(features)
after = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"]
print(seen, after)
"""


def test_the_trees_are_fitted_and_asked_on_one_thread_and_others_keep_theirs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIT],
        env=os.environ | {"OMP_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["[0,", "0]", "[3]"]
