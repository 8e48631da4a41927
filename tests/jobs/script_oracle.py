"""What a script means, worked out in Python over its syntax tree, with Java's numbers and texts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gridwatch.jobs.painless import tree

INT_MAX = 2**31 - 1


class FailedError(Exception):
    """The script fails on this row."""


class UnspecifiedError(Exception):
    """A number is so near the end of its range that the answer is either the number or none."""


def emitted(statements: tuple[tree.Statement, ...], row: Mapping[str, Any], kind: str) -> Any:
    """Return what a script emits for a row; None where it fails or emits nothing."""
    run = _Run(row)
    try:
        run.block(statements)
    except (FailedError, _ReturnError) as error:
        if isinstance(error, FailedError):
            return None
    found = run.emitted
    return float(found) if kind == "double" and found is not None else found


class _ReturnError(Exception):
    pass


class Int(int):
    """A Java int; every other Python int is a long."""


class _Run:
    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row
        self.emitted: Any = None
        self.variables: dict[str, Any] = {}
        self.types: dict[str, str] = {}

    def block(self, statements: tuple[tree.Statement, ...]) -> None:
        for one in statements:
            self.statement(one)

    def statement(self, node: tree.Statement) -> None:
        match node:
            case tree.Block(statements=statements):
                self.block(statements)
            case tree.If(condition=condition, then=then, otherwise=otherwise):
                if self.value(condition):
                    self.statement(then)
                elif otherwise is not None:
                    self.statement(otherwise)
            case tree.Declare(type=kind, variables=variables):
                for name, start in variables:
                    self.types[name] = kind
                    self.variables[name] = self.widened(self.value(start), kind) if start is not None else None
            case tree.Assign(name=name, sign=sign, value=value):
                new = self.value(value)
                if sign:
                    new = binary(sign, self.variables[name], new)
                self.variables[name] = self.widened(new, self.types[name])
            case tree.Return():
                raise _ReturnError
            case tree.Evaluate(value=tree.Call(name="emit", arguments=arguments)):
                self.emitted = self.value(arguments[0])
            case _:
                raise AssertionError(node)

    def widened(self, value: Any, kind: str) -> Any:
        if kind == "double":
            return float(value)
        return int(value) if kind == "long" else value

    def value(self, node: tree.Expression) -> Any:
        match node:
            case tree.Constant(kind="int", value=int() as value):
                return Int(value)
            case tree.Constant(value=value):
                return value
            case tree.Name(name=name):
                return self.variables[name]
            case tree.Unary(sign="!", operand=operand):
                return not self.value(operand)
            case tree.Unary(sign="-", operand=operand):
                found = self.value(operand)
                return -found if isinstance(found, float) else whole(-found, [found])
            case tree.Binary(sign="&&", left=left, right=right):
                return self.value(left) and self.value(right)
            case tree.Binary(sign="||", left=left, right=right):
                return self.value(left) or self.value(right)
            case tree.Binary(sign=sign, left=left, right=right):
                return binary(sign, self.value(left), self.value(right))
            case tree.Ternary(condition=condition, then=then, otherwise=otherwise):
                return self.value(then if self.value(condition) else otherwise)
            case tree.Cast(type=kind, operand=operand):
                return cast(kind, self.value(operand))
            case tree.Member(target=tree.Index(key=tree.Constant(value=name)), name="value"):
                if self.row[str(name)] is None:
                    raise FailedError
                return self.row[str(name)]
            case tree.Call(target=tree.Index(key=tree.Constant(value=name)), name="size"):
                return Int(self.row[str(name)] is not None)
            case tree.Call(target=tree.Name(name="Math"), name=name, arguments=arguments):
                return math_of(name, [self.value(one) for one in arguments])
            case tree.Call(target=tree.Name(name="String"), arguments=arguments):
                return text_of(self.value(arguments[0]))
            case tree.Call(target=target, name=name, arguments=arguments) if target is not None:
                return method(self.value(target), name, [self.value(one) for one in arguments])
        raise AssertionError(node)


def whole(result: int, parts: list[Any]) -> int:
    """Return an int or long; where Java wraps around, the row has no value."""
    if all(isinstance(part, Int) for part in parts):
        if not -INT_MAX - 1 <= result <= INT_MAX:
            raise FailedError
        return Int(result)
    if abs(result) > 9.2e18:
        raise UnspecifiedError
    return result


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, int) else str(value)


def binary(sign: str, left: Any, right: Any) -> Any:
    if sign == "+" and (isinstance(left, str) or isinstance(right, str)):
        return text_of(left) + text_of(right)
    comparisons = {
        **{"==": left == right, "!=": left != right},
        **({} if isinstance(left, str | bool) else {"<": left < right, "<=": left <= right}),
        **({} if isinstance(left, str | bool) else {">": left > right, ">=": left >= right}),
    }
    if sign in comparisons:
        if isinstance(left, float) is not isinstance(right, float) and not isinstance(left, bool):
            return binary(sign, float(left), float(right))
        return comparisons[sign]
    if isinstance(left, int) and isinstance(right, int):
        if sign in "/%":
            if right == 0:
                raise FailedError
            quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
            return whole(quotient if sign == "/" else left - quotient * right, [left, right])
        return whole({"+": left + right, "-": left - right, "*": left * right}[sign], [left, right])
    return floating(sign, float(left), float(right))


def floating(sign: str, left: float, right: float) -> float:
    if sign in "/%" and right == 0:
        raise FailedError
    try:
        found = {
            "+": lambda: left + right,
            "-": lambda: left - right,
            "*": lambda: left * right,
            "/": lambda: left / right,
            "%": lambda: math.fmod(left, right),
        }[sign]()
    except OverflowError as error:
        raise FailedError from error
    if not math.isfinite(found):
        raise FailedError
    return found


def cast(kind: str, value: Any) -> Any:
    if kind == "double":
        return float(value)
    found = math.trunc(value)
    if kind == "int":
        if not -INT_MAX - 1 <= found <= INT_MAX:
            raise FailedError
        return Int(found)
    if abs(found) > 9.2e18:
        raise UnspecifiedError
    return found


def math_of(name: str, args: list[Any]) -> Any:
    value = args[0]
    match name:
        case "abs":
            return abs(value) if isinstance(value, float) else whole(abs(value), args)
        case "max" | "min":
            found = (max if name == "max" else min)(*args)
            return float(found) if any(isinstance(one, float) for one in args) else whole(found, args)
        case "floor" | "ceil":
            number = float(value)
            return number if abs(number) >= 2**52 else float((math.floor if name == "floor" else math.ceil)(number))
        case "round":
            number = float(value)
            return cast("long", number if abs(number) >= 2**52 else math.floor(number) + (number % 1 >= 0.5))
        case "signum":
            return math.copysign(1.0, value) if value else 0.0
        case "sqrt":
            if value < 0:
                raise FailedError
            return math.sqrt(value)
    raise AssertionError(name)


def method(target: Any, name: str, args: list[Any]) -> Any:
    if isinstance(target, datetime):
        return Int(
            {
                "getYear": target.year,
                "getMonthValue": target.month,
                "getDayOfMonth": target.day,
                "getHour": target.hour,
                "getMinute": target.minute,
                "getSecond": target.second,
                "getDayOfYear": target.timetuple().tm_yday,
                "getNano": target.microsecond * 1000,
            }[name]
        )
    if not isinstance(target, str):
        return text_of(target)
    match name, args:
        case "length", []:
            return Int(len(target))
        case "isEmpty", []:
            return target == ""
        case "substring", [begin, *end]:
            last = end[0] if end else len(target)
            if not 0 <= begin <= last <= len(target):
                raise FailedError
            return target[begin:last]
        case "indexOf", [key, *start]:
            return Int(target.find(key, min(max(start[0], 0), len(target)) if start else 0))
        case "lastIndexOf", [key]:
            return Int(target.rfind(key))
        case "contains", [key]:
            return key in target
        case "startsWith", [key]:
            return target.startswith(key)
        case "endsWith", [key]:
            return target.endswith(key)
        case "equals", [key]:
            return target == key
        case "equalsIgnoreCase", [key]:
            return upper(target) == upper(key)
        case "concat", [key]:
            return target + key
        case "replace", [key, new]:
            if key == "":
                raise FailedError
            return target.replace(key, new)
        case "toUpperCase", []:
            return upper(target)
        case "toLowerCase", []:
            return "".join(one.lower() if one.isascii() else one for one in target)
        case "trim", []:
            return target.strip("".join(map(chr, range(33))))
        case "toString", []:
            return target
    raise AssertionError(name)


def upper(text: str) -> str:
    """Return a text with A to Z in capitals, as SQL has it."""
    return "".join(one.upper() if one.isascii() else one for one in text)


def moment(ms: int | None) -> datetime | None:
    """Return the time of a row."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
