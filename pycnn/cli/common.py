"""What the commands share: options, the console, usage errors."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import click
from rich.console import Console

from ..dispatch import PROVIDERS


def make_console() -> Console:
    # Written to a file or a pipe, a table must not be folded to 80 columns.
    console = Console()
    return console if console.is_terminal else Console(width=140)


def find_model(name: str) -> Any:
    """The model's registry entry; a usage error with the nearest names if there is none."""
    from ..models import model_entry

    try:
        return model_entry(name)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def using_provider(provider: str | None) -> Any:
    """`pycnn.using(provider)`; a usage error for one that is unknown or cannot run here."""
    from .. import dispatch, providers

    if provider is None:
        return nullcontext()
    if provider not in PROVIDERS:
        known = ", ".join(PROVIDERS)
        raise click.BadParameter(f"no provider is called {provider!r}; there are {known}")
    try:
        providers.require(provider)
    except (RuntimeError, ImportError) as error:
        raise click.ClickException(str(error)) from None
    return dispatch.using(provider)


def need(
    *modules: str, does: str = "compares with PyTorch", install: str = "'pycnn[test]' torchvision"
) -> None:
    """A one-sentence error if an optional requirement of a command is not installed."""
    import importlib.util

    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise click.ClickException(
            f"this command {does} and needs {', '.join(missing)}; pip install {install}"
        )


provider_option = click.option(
    "--provider", help=f"Run on one provider only: {', '.join(PROVIDERS)}."
)
size_option = click.option(
    "--size", type=click.IntRange(1), help="Height and width of the images; the paper's by default."
)
width_option = click.option(
    "--width", type=float, default=1.0, show_default=True, help="Scales the channel counts."
)
batch_option = click.option(
    "--batch", type=click.IntRange(1), default=1, show_default=True, help="Images at a time."
)
seed_option = click.option("--seed", type=int, default=0, show_default=True)


def shapes_of(arrays: Any, first: int = 0) -> str:
    """The arrays' shapes from axis `first` on: 3 x 224 x 224."""
    return ", ".join(" x ".join(map(str, a.shape[first:])) for a in arrays)


def build(entry: Any, width: float, **arguments: Any) -> Any:
    try:
        return entry.constructor(width=width, **arguments)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
