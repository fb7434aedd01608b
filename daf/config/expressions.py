"""Arithmetic in one variable, for parameters that are sampled on another scale than the config's (`1 - x`)."""

import ast
import math
import operator
from collections.abc import Callable

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[[float], float]] = {"exp": math.exp, "log": math.log, "sqrt": math.sqrt, "int": int}


def check_expression(text: str) -> str:
    """The text itself. ValueError unless it is arithmetic in `x` with + - * / // **, exp, log, sqrt and int."""
    _check(_parse(text), text)
    return text


def evaluate_expression(text: str, x: float) -> float:
    """The value of a checked expression at `x`; floats lose the rounding noise that ``1 - 0.005`` brings.

    Raises:
        ValueError: it has no value there.
    """
    try:
        value = _evaluate(_parse(text), x)
    except (ArithmeticError, TypeError) as error:
        raise ValueError(f"{text!r} has no value at x = {x}: {error}") from error
    return float(f"{value:.12g}") if isinstance(value, float) else value


def _parse(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{text!r} is not arithmetic in x") from error


def _check(node: ast.expr, text: str) -> None:
    match node:
        case ast.Name(id="x"):
            return
        case ast.Constant(value=int() | float()):
            return
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            _check(left, text)
            _check(right, text)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check(operand, text)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            _check(argument, text)
        case _:
            raise ValueError(f"{text!r} may hold only x, numbers, + - * / // ** and {', '.join(_FUNCTIONS)}")


def _evaluate(node: ast.expr, x: float) -> float:
    match node:
        case ast.Name():
            return x
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_evaluate(left, x), _evaluate(right, x))
        case ast.UnaryOp(operand=operand):
            return -_evaluate(operand, x)
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return _FUNCTIONS[name](_evaluate(argument, x))
    raise ValueError(ast.dump(node))
