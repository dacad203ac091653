"""python -m benchmarks ops | nets | memory: measure, print, and write a file of results."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from pycnn.files import replacing

from . import measure

RESULTS = Path(__file__).parent / "results"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _machine() -> str:
    """A folder's name for this machine."""
    name = re.sub(r"[^a-z0-9]+", "-", measure.processor().lower()).strip("-")
    return f"{name}-{len(os.sched_getaffinity(0))}-cores"


def _write(rows: list[dict[str, Any]], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**measure.provenance(), "rows": rows}, indent=1) + "\n"
    with replacing(out) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _print(row: dict[str, Any], console: Console) -> None:
    name = " ".join(str(row[key]) for key in ("suite", "name", "pass") if key in row)
    if "seconds" not in row:
        console.print(f"{name}  ratio {row['ratio']:.2f}  {row['grown']}", highlight=False)
        return
    console.print(
        f"{name:44} N{row['batch']} {row['threads']}T {row['seconds']['least'] * 1e3:9.3f} ms  "
        f"PyTorch {row['opponent_seconds']['least'] * 1e3:9.3f} ms  ratio {row['ratio']:5.2f}  "
        f"{row.get('algorithm', ''):12} {row.get('error', row.get('difference', 0)):.0e}",
        highlight=False,
        soft_wrap=True,
    )


def _collect(problems: Iterable[Callable[[], list[dict[str, Any]]]], out: Path | None) -> None:
    console = Console()
    problems = list(problems)
    rows: list[dict[str, Any]] = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=len(problems))
        for problem in problems:
            for row in problem():
                rows.append(row)
                _print(row, progress.console)
            progress.advance(task)
    for key in dict.fromkeys((r["suite"], r.get("pass", "")) for r in rows):
        ratios = [r["ratio"] for r in rows if (r["suite"], r.get("pass", "")) == key]
        mean = 1.0
        for ratio in ratios:
            mean *= ratio ** (1 / len(ratios))
        console.print(
            f"{' '.join(key):32} geometric mean {mean:.2f}, least {min(ratios):.2f}, "
            f"of {len(ratios)}"
        )
    if out is not None:
        _write(rows, out)
        console.print(f"written to {out}")


_out = click.option("--out", type=Path, help="file of results; 'auto' names one by machine")
_threads = click.option("--threads", default="1,2", show_default=True)
_seconds = click.option("--seconds", default=0.3, show_default=True, help="spent on each function")


def _file(out: Path | None, name: str) -> Path | None:
    return RESULTS / _machine() / f"{name}.json" if out == Path("auto") else out


@click.group()
def main() -> None:
    """Times of pycnn beside PyTorch's, interleaved, with the C library keeping freed memory."""
    measure.raise_malloc_thresholds()


@main.command()
@click.option("--suite", "suites", multiple=True, help="default: all")
@click.option("--only", default="", help="parts of names, separated by commas")
@click.option("--passes", default="fprop,dgrad,wgrad", show_default=True)
@click.option("--batches", default="1,8", show_default=True)
@_threads
@_seconds
@_out
def ops(
    suites: tuple[str, ...],
    only: str,
    passes: str,
    batches: str,
    threads: str,
    seconds: float,
    out: Path | None,
) -> None:
    """Convolutions, pooling, batch norm, concatenation and addition."""
    from . import ops as module

    unknown = [s for s in suites if s not in module.SUITES]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r}; accepted: {', '.join(module.SUITES)}")

    def problems() -> Iterator[Callable[[], list[dict[str, Any]]]]:
        for suite in suites or module.SUITES:
            for name, make in module.SUITES[suite](_numbers(batches), tuple(passes.split(","))):
                if any(part in name for part in only.split(",")):
                    yield lambda make=make: module.run(make(), _numbers(threads), seconds)

    _collect(problems(), _file(out, "ops"))


@main.command()
@_threads
@click.option("--seconds", default=4.0, show_default=True, help="spent on each function")
@_out
def nets(threads: str, seconds: float, out: Path | None) -> None:
    """Inference and a training step of whole networks."""
    from . import nets as module

    _collect(module.problems(_numbers(threads), seconds), _file(out, "nets"))


@main.command()
@_out
def memory(out: Path | None) -> None:
    """Peak memory of Xception, forward and backward."""
    from . import memory as module

    _collect([lambda: [module.xception()]], _file(out, "memory"))


if __name__ == "__main__":
    main()
