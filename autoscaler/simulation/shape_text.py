"""Shapes as text, in scenario files and on the command line: `diurnal(low_rps=2, high_rps=9) * noise(cv=0.1, seed=1)`.

The names and their arguments are those of `shapes`; `+` and `*` combine them. Nothing is evaluated but that.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable

from autoscaler.simulation import shapes
from autoscaler.simulation.shapes import Shape

KNOWN: dict[str, Callable[..., Shape]] = {
    function.__name__: function
    for function in (
        shapes.constant,
        shapes.steps,
        shapes.ramp,
        shapes.diurnal,
        shapes.spikes,
        shapes.flash_crowd,
        shapes.noise,
    )
}


def parse_shape(text: str) -> Shape:
    """The shape that a text describes. Raises ValueError that says what is wrong and what is allowed."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"{text!r}: {error.msg}, write for example `constant(50)`") from error
    found = _value(tree.body)
    if not isinstance(found, Shape):
        raise ValueError(f"{text!r}: a number, a shape is needed, such as `constant({found:g})`")
    return found


def _value(node: ast.expr) -> Shape | float:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mult):
        return _combined(node, _value(node.left), _value(node.right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _call(node, node.func.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    raise ValueError(
        f"{ast.unparse(node)!r}: not a shape, one of {', '.join(KNOWN)}, combined by + and *"
    )


def _combined(node: ast.BinOp, left: Shape | float, right: Shape | float) -> Shape | float:
    if isinstance(node.op, ast.Mult):
        return left * right
    if isinstance(left, Shape) and isinstance(right, Shape):
        return left + right
    if isinstance(left, Shape) or isinstance(right, Shape):
        raise ValueError(f"{ast.unparse(node)!r}: a number added to a shape, write constant(...)")
    return left + right


def _call(node: ast.Call, name: str) -> Shape:
    function = KNOWN.get(name)
    if function is None:
        raise ValueError(f"{name!r}: not a shape, one of {', '.join(KNOWN)}")
    given = [_literal(argument) for argument in node.args]
    named = {item.arg or "**": _literal(item.value) for item in node.keywords}
    try:
        return function(*given, **named)
    except TypeError as error:
        raise ValueError(
            f"{ast.unparse(node)!r}: {error}, it is {name}{_signature(function)}"
        ) from error
    except ValueError as error:
        raise ValueError(f"{ast.unparse(node)!r}: {error}") from error


def _signature(function: Callable[..., Shape]) -> str:
    parts = []
    for parameter in inspect.signature(function).parameters.values():
        default = parameter.default
        known = "" if default is inspect.Parameter.empty else f"={default:g}"
        star = "*" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else ""
        parts.append(f"{star}{parameter.name}{known}")
    return f"({', '.join(parts)})"


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{ast.unparse(node)!r}: must be a number or points") from None
