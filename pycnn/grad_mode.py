"""Whether operations are recorded: no_grad, enable_grad, set_grad_enabled."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

_grad_enabled: ContextVar[bool] = ContextVar("pycnn_grad_enabled", default=True)


class _GradMode:
    """A with-block and decorator that sets whether operations are recorded."""

    enabled: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_grad_enabled.get())
        _grad_enabled.set(self.enabled)

    def __exit__(self, *exc: Any) -> None:
        _grad_enabled.set(self._before.pop())

    def _fresh(self) -> _GradMode:
        return type(self)()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & _CO_GENERATOR:

            @wraps(function)
            def generator(*args: Any, **named: Any) -> Any:
                return (yield from _stepped(function(*args, **named), self._fresh))

            return generator

        @wraps(function)
        def inside(*args: Any, **named: Any) -> Any:
            with self._fresh():
                return function(*args, **named)

        return inside


_CO_GENERATOR = 0x20  # inspect.CO_GENERATOR; inspect is slow to import


def _stepped(generator: Any, mode: Callable[[], _GradMode]) -> Any:
    """What `generator` yields, each of its steps run inside mode() and none of its caller's."""
    try:
        with mode():
            value = next(generator)
        while True:
            try:
                sent = yield value
            except GeneratorExit:
                with mode():
                    generator.close()
                raise
            except BaseException as error:
                with mode():
                    value = generator.throw(error)
            else:
                with mode():
                    value = generator.send(sent)
    except StopIteration as stop:
        return stop.value


class _PlainGradMode(_GradMode):
    """A mode without arguments: `@no_grad` decorates as `@no_grad()` does."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)


class no_grad(_PlainGradMode):
    """Inside, nothing is recorded: results do not require grad."""

    enabled = False


class enable_grad(_PlainGradMode):
    """Inside, operations are recorded again, even within no_grad."""

    enabled = True


class set_grad_enabled(_GradMode):
    """no_grad or enable_grad by a flag; as in torch it also acts when called as a plain
    statement."""

    def __init__(self, mode: bool) -> None:
        self.enabled = bool(mode)
        self._outside = _grad_enabled.get()
        _grad_enabled.set(self.enabled)

    def __enter__(self) -> None:
        _grad_enabled.set(self.enabled)

    def __exit__(self, *exc: Any) -> None:
        _grad_enabled.set(self._outside)

    def _fresh(self) -> _GradMode:
        return type(self)(self.enabled)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        _grad_enabled.set(self._outside)  # a decorator is no statement
        return super().__call__(function)


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this context."""
    return _grad_enabled.get()
