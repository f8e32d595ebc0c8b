"""How many threads the libraries below may begin."""

from __future__ import annotations

from contextlib import AbstractContextManager


def one_thread() -> AbstractContextManager[object]:
    """Within it scikit-learn and BLAS begin none of their own.

    A tree of eight leaves is so little work that threads mostly wait for each other, spinning: five levels over 19,000
    rows took two threads 108 s on two cores that others used too, and 54 s of their processors. One takes 5 s.
    """
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits
