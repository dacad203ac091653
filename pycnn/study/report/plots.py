"""The pictures of a report, drawn by matplotlib as SVG: roofline, ratios, scaling, memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from functools import partial
from itertools import groupby
from typing import Any

from .palette import Theme
from .results import MEMORY, NETS, Results, Row, geometric_mean, image_side

Draw = Callable[[list[Results], Theme], Any]  # a Figure, None where there is nothing to draw


def draw(name: str, files: list[Results], theme: Theme) -> str | None:
    """One picture of PICTURES of the files of one device as SVG, None where there is nothing."""
    import matplotlib
    from matplotlib import rcsetup

    style = {
        "svg.hashsalt": name, "svg.fonttype": "path", "font.size": 10, "axes.titlesize": 10.5,
        "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False,
        "axes.spines.right": False, "figure.facecolor": theme.paper, "axes.facecolor": theme.paper,
        "text.color": theme.ink, "axes.labelcolor": theme.ink, "axes.titlecolor": theme.ink,
        "axes.edgecolor": theme.muted, "xtick.color": theme.muted, "ytick.color": theme.muted,
        "grid.color": theme.rule, "grid.linewidth": 0.8, "axes.grid": True, "axes.axisbelow": True,
        "legend.frameon": False, "legend.fontsize": 9, "lines.linewidth": 1.6,
        "lines.markersize": 5, "axes.prop_cycle": rcsetup.cycler(color=theme.series),
    }  # fmt: skip
    with matplotlib.rc_context(style):
        figure = PICTURES[name](files, theme)
        if figure is None:
            return None
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
        return out.getvalue()


def _figure(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _rows(files: Iterable[Results], suites: Iterable[str] | None = None) -> list[Row]:
    """Rows of whole networks if `suites` says so, else of kernels."""
    return [
        row
        for file in files
        for row in file.rows
        if (row["suite"] in suites if suites else row["suite"] not in (*NETS, MEMORY))
    ]


def _grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> list[tuple[Any, list[Row]]]:
    """In the order of the key's words."""
    rows = sorted(rows, key=lambda row: str(key(row)))
    return [(value, list(group)) for value, group in groupby(rows, key)]


def families(rows: Iterable[Row], most: int) -> list[str]:
    """The families with FLOPs counted, in the order of their colours: convolutions first, and those
    with most rows."""
    counts: dict[str, int] = {}
    for row in rows:
        if row["flops"] and row["bytes"] and row["family"]:
            counts[row["family"]] = counts.get(row["family"], 0) + 1
    return sorted(counts, key=lambda f: ("conv" not in f, -counts[f], f))[:most]


def roofline(files: list[Results], theme: Theme) -> Any:
    """Achieved GFLOP/s over FLOPs a byte; the roofs that the files measured."""
    rows = [row for row in _rows(files) if row["flops"] and row["bytes"] and row["seconds"]]
    if not rows:
        return None
    threads = max((row["threads"] or 0) for row in rows)
    rows = [row for row in rows if (row["threads"] or 0) == threads]
    points = {
        id(row): (row["flops"] / row["bytes"], row["flops"] / row["seconds"]["least"] / 1e9)
        for row in rows
    }
    roofs = _roofs(files, threads)
    tops = [rate for roof in roofs for rate in roof["gflops"].values()]
    edges = [rate / r["gbytes_per_second"] for r in roofs for rate in r["gflops"].values()]
    xs, ys = zip(*points.values())
    low, high = min([*xs, *edges]) / 1.5, max([*xs, *edges]) * 1.5
    figure, ((axes,),) = _figure(8.6, 5)
    axes.set(
        xscale="log", yscale="log", xlim=(low, high), xlabel="FLOPs a byte", ylabel="GFLOP/s",
        ylim=(min(ys) / 1.5, max([*ys, *tops]) * 1.5),
    )  # fmt: skip
    named = families(rows, len(theme.series) - 1)
    for family, group in _grouped(rows, lambda r: r["family"] if r["family"] in named else "other"):
        colour = theme.series[named.index(family) if family in named else -1]
        axes.plot(
            *zip(*(points[id(row)] for row in group)), "o", color=colour, label=family, alpha=0.75,
            markeredgewidth=0,
        )  # fmt: skip
    for roof in roofs:
        for dtype, flops in roof["gflops"].items():
            corners = [low, flops / roof["gbytes_per_second"], high]
            line = [min(x * roof["gbytes_per_second"], flops) for x in corners]
            axes.plot(corners, line, color=theme.muted, linewidth=1.2)
            axes.annotate(
                f"{dtype}: {flops:,.0f} GFLOP/s, {roof['gbytes_per_second']:,.0f} GB/s",
                (high, line[-1]), (-3, 3), textcoords="offset points", ha="right",
                color=theme.muted, fontsize=8,
            )  # fmt: skip
    count = f"{threads} thread{'s' if threads > 1 else ''}" if threads else "GPU"
    known = "" if roofs else "; the roof was not measured"
    axes.set_title(f"Roofline, {count}{known}")
    axes.legend(loc="lower right", ncols=2)
    return figure


def _roofs(files: list[Results], threads: int) -> list[dict[str, Any]]:
    """The newest roof that was measured with so many threads."""
    key = str(threads or "gpu")
    by_date = sorted(files, key=lambda file: file.date, reverse=True)
    found = [file.roof[key] for file in by_date if key in file.roof]
    return found[:1]


def ratios(files: list[Results], theme: Theme) -> Any:
    """The ratio to the fastest opponent by family and pass: mean as a bar, every row as a dot."""
    rows = [row for row in _rows(files) if row["ratio"] and row["family"]]
    if not rows:
        return None
    groups = _grouped(rows, lambda row: (row["family"], row["pass"] or ""))
    figure, ((axes,),) = _figure(8.6, 0.9 + 0.27 * len(groups))
    for i, (_, group) in enumerate(groups):
        found = [row["ratio"] for row in group]
        mean = geometric_mean(found)
        colour = theme.win if mean >= 1 else theme.loss
        axes.barh(i, mean - 1, left=1, height=0.62, color=colour, alpha=0.55)
        axes.plot(found, [i] * len(found), "|", color=theme.ink, alpha=0.5, markersize=8)
        axes.annotate(
            f"{mean:.2f}", (1.01, i), xycoords=("axes fraction", "data"), va="center",
            color=colour, fontsize=9,
        )  # fmt: skip
    axes.axvline(1, color=theme.ink, linewidth=1)
    axes.set(xscale="log", xlabel="times as fast as the fastest opponent (bar: geometric mean)")
    axes.set_yticks(range(len(groups)), [f"{family}  {way}" for (family, way), _ in groups])
    axes.tick_params(axis="y", length=0, labelcolor=theme.ink)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    _plain_ticks(axes.xaxis, (0.25, 0.5, 1, 2, 4, 8))
    axes.grid(axis="y", visible=False)
    axes.set_title("Ratio by family and pass; each tick is a row")
    return figure


def _plain_ticks(axis: Any, values: Iterable[float]) -> None:
    """These values of a logarithmic axis, those within its limits, without powers."""
    low, high = axis.get_view_interval()
    shown = [v for v in values if low <= v <= high]
    axis.set_ticks(shown, [f"{v:g}" for v in shown])
    axis.set_ticks([], minor=True)


def scaling(files: list[Results], theme: Theme) -> Any:
    """What batch, threads and the image's size do: networks' rates, kernels' ratios."""
    nets = [row for row in _rows(files, NETS) if row["batch"]]
    kernels = [row for row in _rows(files) if row["ratio"]]
    suites = sorted({row["suite"] for row in kernels})
    colours = {suite: theme.series[i % len(theme.series)] for i, suite in enumerate(suites)}
    panels: list[Callable[[Any], None]] = []
    if _several(nets, "batch"):
        panels.append(lambda axes: _images(axes, nets, "batch", theme))
    if _several(nets, "size", apart=("batch", "threads")):
        panels.append(lambda axes: _images(axes, nets, "size", theme))
    if _several(kernels, "threads"):
        panels.append(lambda axes: _threads(axes, kernels, colours, theme))
    means = partial(_mean_ratio, rows=kernels, colours=colours, theme=theme)
    if _several(kernels, "batch"):
        panels.append(partial(means, key=lambda row: row["batch"], label="batch"))
    if len({image_side(row) for row in kernels} - {None}) > 1:
        panels.append(partial(means, key=image_side, label="rows of pixels"))
    if not panels:
        return None
    columns = min(2, len(panels))
    figure, grid = _figure(4.4 * columns, 3.4 * -(-len(panels) // columns), columns,
                           -(-len(panels) // columns))  # fmt: skip
    for axes, panel in zip(grid.flat, panels):
        panel(axes)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    legend: dict[str, Any] = {}  # the networks' panel has one of its own
    for axes in grid.flat:
        if axes.get_legend() is None:
            handles, labels = axes.get_legend_handles_labels()
            legend.update(zip(labels, handles))
    if legend:
        figure.legend(
            legend.values(), legend, loc="outside lower center", ncols=min(6, len(legend))
        )
    return figure


def _several(rows: list[Row], key: str, apart: tuple[str, ...] = ("threads",)) -> bool:
    """Whether something was measured with several values of a key, the rest being the same."""
    same = ("suite", "name", "pass", *(k for k in apart if k != key))
    groups = _grouped(rows, lambda row: tuple(row[k] for k in same))
    return any(len({row[key] for row in group}) > 1 for _, group in groups)


def _images(axes: Any, rows: list[Row], key: str, theme: Theme) -> None:
    """Images a second of each network, ours as a line, the opponent's dashed."""
    other = "size" if key == "batch" else "batch"
    threads = max((row["threads"] or 0) for row in rows)
    rows = [row for row in rows if (row["threads"] or 0) == threads]
    groups = _grouped(rows, lambda r: (r["suite"], r["name"], r[other], r["dtype"], r["cache"]))
    groups = [g for g in groups if len({row[key] for row in g[1]}) > 1][: len(theme.series)]
    for i, ((suite, name, *_), group) in enumerate(groups):
        group = sorted(group, key=lambda row: row[key])
        xs = [row[key] for row in group]
        label = name if suite == "forward" else f"{name}, {suite}"
        for which, line in (("seconds", "o-"), ("opponent_seconds", "o--")):
            if all(row[which] for row in group):
                ys = [row["batch"] / row[which]["least"] for row in group]
                mark = {"label": label} if line == "o-" else {"alpha": 0.55, "markersize": 3.5}
                axes.plot(xs, ys, line, color=theme.series[i], **mark)
    axes.set(xscale="log", yscale="log", xlabel="batch" if key == "batch" else "rows of pixels")
    _plain_ticks(axes.xaxis, sorted({row[key] for row in rows}))
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 1.6)
    _plain_ticks(axes.yaxis, [m * 10**e for e in range(-2, 6) for m in (1, 2, 5)])
    axes.set_title("Images a second; dashed: the opponent")
    axes.legend(fontsize=8, loc="upper left", ncols=2)


def _threads(axes: Any, rows: list[Row], colours: dict[str, str], theme: Theme) -> None:
    """How many times as fast more threads are than one, ours and the opponent's."""
    same = ("suite", "name", "pass", "batch", "dtype", "layout", "cache", "provider", "size")
    gains: dict[tuple[str, str, int], list[float]] = {}
    for _, group in _grouped(rows, lambda row: tuple(row[k] for k in same)):
        alone = next((row for row in group if row["threads"] == 1), None)
        for row in group if alone else ():
            for which in ("seconds", "opponent_seconds"):
                if row["threads"] and row[which] and alone and alone[which]:
                    gain = alone[which]["least"] / row[which]["least"]
                    gains.setdefault((row["suite"], which, row["threads"]), []).append(gain)
    counts = sorted({threads for _, _, threads in gains})
    axes.plot(counts, counts, color=theme.rule, linewidth=1, zorder=1)
    for suite in sorted({suite for suite, _, _ in gains}):
        for which, line in (("seconds", "o-"), ("opponent_seconds", "o--")):
            known = [c for c in counts if (suite, which, c) in gains]
            ys = [geometric_mean(gains[suite, which, c]) for c in known]
            mark = {"label": suite} if line == "o-" else {"alpha": 0.55, "markersize": 3.5}
            axes.plot(known, ys, line, color=colours[suite], **mark)
    axes.set(xlabel="threads")
    axes.set_xticks(counts)
    axes.set_title("Times as fast as one thread")


def _mean_ratio(
    axes: Any, rows: list[Row], key: Callable[[Row], Any], label: str, colours: dict[str, str],
    theme: Theme,
) -> None:  # fmt: skip
    """The geometric mean of the ratios of a suite's layers, by batch or by image."""
    for suite, group in _grouped(rows, lambda row: row["suite"]):
        at: dict[int, list[float]] = {}
        for row in group:
            if key(row):
                at.setdefault(key(row), []).append(row["ratio"])
        xs = sorted(at)
        ys = [geometric_mean(at[x]) for x in xs]
        axes.plot(xs, ys, "o-", color=colours[suite], label=suite)
    axes.axhline(1, color=theme.ink, linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel=label)
    _plain_ticks(axes.xaxis, (1, 2, 4, 8, 16, 32, 64, 128, 256, 512))
    _plain_ticks(axes.yaxis, (0.25, 0.35, 0.5, 0.7, 0.8, 0.9, 1, 1.2, 1.4, 1.7, 2, 2.5, 3, 4, 6, 8))
    axes.set_title(f"Ratio by {label}, geometric mean")


def memory(files: list[Results], theme: Theme) -> Any:
    """Bytes that a run needs beyond the network itself."""
    rows = [row for row in _rows(files, (MEMORY,)) if row["grown"]]
    if not rows:
        return None
    bars = [(row["name"], who, value) for row in rows for who, value in row["grown"].items()]
    figure, ((axes,),) = _figure(8.6, 0.9 + 0.34 * (len(bars) + len(rows)))
    y, ticks = 0.0, []
    for name, group in groupby(bars, lambda bar: bar[0]):
        axes.annotate(name, (0, y), (0, 0), textcoords="offset points", va="center", fontsize=9)
        y += 1
        for _, who, value in group:
            colour = theme.win if who == "pycnn" else theme.muted
            axes.barh(y, value / 2**20, height=0.66, color=colour, alpha=0.75)
            axes.annotate(
                f"{value / 2**20:,.0f}", (value / 2**20, y), (4, 0), va="center",
                textcoords="offset points", fontsize=9,
            )  # fmt: skip
            ticks.append((y, who))
            y += 1
    axes.set_yticks([at for at, _ in ticks], [who for _, who in ticks])
    axes.tick_params(axis="y", length=0, labelcolor=theme.ink)
    axes.set_ylim(y - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="MiB beyond the network itself, at the peak")
    axes.set_title("Peak memory")
    return figure


PICTURES: dict[str, Draw] = {
    "ratios": ratios,
    "roofline": roofline,
    "scaling": scaling,
    "memory": memory,
}
