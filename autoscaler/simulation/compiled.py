"""How this package compiles with numba; imported only by modules that hold compiled functions.

numba watches one file to know whether what it kept on disk still holds: that of the function that
Python calls. So the functions that it calls belong into the same file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numba.extending

Function = TypeVar("Function", bound=Callable[..., Any])

# Counting references to the arrays in a tuple takes ten times as long as the events that they hold.
# A function that allocates nothing does not need it.
_WITHOUT_COUNTING: dict[str, Any] = {"_nrt": False}


def compiled(function: Function, **options: Any) -> Function:
    """Compile at the first call; keep the result on disk where numba finds a place to write."""
    try:
        return cast(Function, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # no writable cache directory: compile in every process
        return cast(Function, numba.njit(**options)(function))


def compiled_entry(function: Function) -> Function:
    """A function that Python calls and that allocates nothing."""
    return compiled(function, **_WITHOUT_COUNTING)


def compiled_part(function: Function) -> Function:
    """A function that only compiled code calls: it compiles in half the time without wrappers."""
    bare: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast(Function, numba.njit(**bare, **_WITHOUT_COUNTING)(function))


def compilable(function: Function) -> Function:
    """A function that stays Python's when Python calls it, and is compiled where compiled code does.

    So that a peer's rule is written once, for the request-level simulator and for the fluid model.
    """
    marked: Function = numba.extending.register_jitable(function)
    return marked
