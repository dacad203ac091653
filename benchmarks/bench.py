"""A whole run from its options: what `python -m pycnn bench` does, as a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .. import array, dispatch, providers
from . import measure, roof, rows, suites
from .clock import HostClock
from .problem import LAYOUTS, TOLERANCE, Key
from .session import Row, Session, auto_file

_AGAINST = ("torch", "none")
# seconds for each contender: of an operation, of a network
_SECONDS = {"smoke": (0.15, 1.0), "full": (0.4, 4.0)}
_PATIENCE = {"smoke": 20.0, "full": 300.0}  # seconds to wait for an idle machine, in all


@dataclass
class Options:
    """What to measure. None: what the suite and the machine suggest.

    what is ops, nets, memory, kernelbench, or the stem of a kernel: the problems it can run."""

    what: str
    suite: str = "full"
    providers: tuple[str, ...] | None = None
    against: str = "torch"
    dtypes: tuple[str, ...] = ("float32",)
    batches: tuple[int, ...] = ()
    passes: tuple[str, ...] = suites.PASSES
    threads: tuple[int, ...] | None = None
    only: tuple[str, ...] = ()
    layout: str = "channels-last"
    device: str | None = None
    seconds: float | None = None
    patience: float | None = None
    tf32: bool = False

    def settled(self) -> Options:
        """With every None replaced.

        Raises:
            ValueError: an option is none of what is accepted, which the message lists.
        """
        what = (*suites.WHAT, *(() if self.what in suites.WHAT else sorted(suites.kernels())))
        _accept("what", (self.what,), what)
        _accept("suite", (self.suite,), tuple(_SECONDS))
        _accept("against", (self.against,), _AGAINST)
        _accept("dtype", self.dtypes, tuple(TOLERANCE))
        _accept("passes", self.passes, suites.PASSES)
        _accept("layout", (self.layout,), tuple(LAYOUTS))
        _accept("device", (self.device or "cpu",), ("cpu", "cuda"))
        _positive("batches", self.batches)
        _positive("threads", self.threads or ())
        for name, given in (("seconds", self.seconds), ("patience", self.patience)):
            if given is not None and not given >= 0:
                raise ValueError(f"{name}: got {given}, expected 0 or more")
        if self.what == "nets" and self.dtypes != ("float32",):
            raise ValueError(f"dtype: got {', '.join(self.dtypes)}; networks run in float32 only")
        device = self.device or ("cuda" if array.gpu_status() is None else "cpu")
        if device == "cuda" and array.gpu_status() is not None:
            raise ValueError(f"device: got 'cuda', but {array.gpu_status()}")
        if self.tf32 and device == "cpu":
            raise ValueError("tf32: the CPU has none")
        threads = self.threads
        if device == "cuda":
            threads = ()
        elif threads is None:
            cores = measure.cores()
            threads = (cores,) if self.suite == "smoke" else tuple(dict.fromkeys((1, cores)))
        chosen = self.providers or _usual_providers(device)
        _accept("providers", chosen, dispatch.PROVIDERS)
        if self.providers is not None:
            for name in chosen:
                try:
                    providers.require(name)
                except (RuntimeError, ImportError) as error:
                    raise ValueError(f"providers: {error}") from None
        usual = _SECONDS[self.suite][self.what == "nets"]
        settled = asdict(self) | {
            "providers": tuple(chosen),
            "threads": threads,
            "device": device,
            "seconds": usual if self.seconds is None else self.seconds,
            "patience": _PATIENCE[self.suite] if self.patience is None else self.patience,
        }
        return Options(**settled)

    def asked(self) -> list[rows.Asked]:
        """Whose kernels: each provider's choice, or its algorithms of the kernel's stem."""
        assert self.providers is not None
        if self.what in suites.WHAT:
            return [rows.Asked(name) for name in self.providers]
        algorithms = dict.fromkeys(a for _, a in sorted(suites.kernels()[self.what]))
        known = {(e.provider, e.algorithm) for e in dispatch.entries()}
        return [
            rows.Asked(name, algorithm)
            for name in self.providers
            for algorithm in algorithms
            if (name, algorithm) in known
        ]

    def keys(self) -> list[Key]:
        """The problems, in order; of a kernel, those of its primitives."""
        gpu = self.device == "cuda"
        what = self.what if self.what in suites.WHAT else "ops"
        found = suites.keys(
            what, self.suite, self.passes, self.batches, self.dtypes, self.only, gpu
        )
        if self.what in suites.WHAT:
            return found
        primitives = {primitive for primitive, _ in suites.kernels()[self.what]}
        return [key for key in found if suites.make(key).primitive in primitives]


def _usual_providers(device: str) -> tuple[str, ...]:
    """Those whose speed is the point: native on the CPU, on a GPU what has kernels for it."""
    if device == "cpu":
        return ("native",)
    usable = {e.provider for e in dispatch.entries() if "cuda" in e.devices}
    return tuple(name for name in ("triton", "cuda") if name in usable) or ("reference",)


def _accept(name: str, given: tuple[str, ...], accepted: tuple[str, ...]) -> None:
    for value in given:
        if value not in accepted:
            raise ValueError(f"{name}: got {value!r}; accepted: {', '.join(accepted)}")


def _positive(name: str, given: tuple[int, ...]) -> None:
    for value in given:
        if value < 1:
            raise ValueError(f"{name}: got {value}, expected positive numbers")


class Run:
    """A run that was prepared: `total` problems, measured by `go`."""

    def __init__(
        self,
        options: Options,
        out: Path | None = None,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        """
        Args:
            out: the file of results; Path("auto") names one by the machine; None writes none.
            note: told in words what was left out, and why.

        Raises:
            ValueError: an option is none of what is accepted, or leaves nothing to measure.
        """
        self.options, self.note = options.settled(), note
        self.stack = ExitStack()
        provenance = measure.provenance("gpu" if self.options.device == "cuda" else "cpu")
        if out == Path("auto"):
            out = auto_file(self.options.what, self.options.suite, provenance)
        self.out = out
        settings = asdict(self.options)
        if self.options.device == "cpu":
            settings["malloc"] = "told to keep freed memory, and as shipped"
        self.roofs: dict[str, roof.Roof] = {}
        self.problems = list(self._problems())
        if not self.problems:
            raise ValueError("only, passes, batches: they leave nothing to measure")
        self.session = Session(provenance, settings, out)

    @property
    def total(self) -> int:
        return len(self.problems)

    def go(self, step: Callable[[str, list[Row]], Any] = lambda name, rows: None) -> list[Row]:
        """Measure; `step` is told each problem's name and rows. Rows of an earlier run that was
        interrupted are taken over.

        Raises:
            harness.Caught, roof.TooFast: a result that is none; the rows before it are kept.
        """
        with self.stack:
            self._prepare()
            return self.session.run(self.problems, step)

    # --- the parts --------------------------------------------------------------------------------

    def _problems(self) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
        options = self.options
        if options.what == "memory":
            from . import memory

            for name in list(memory.NETS)[: 1 if options.suite == "smoke" else None]:
                if not options.only or any(part in name for part in options.only):
                    yield f"memory {name}", partial(memory.rows, name)
            return
        keys = options.keys()
        if options.device == "cuda":
            for key in keys:
                for cache in ("warm", "cold"):
                    yield f"{key} {cache}", partial(self._measure, key, None, cache)
            return
        assert options.threads is not None
        for key in keys:
            for threads in options.threads:
                yield f"{key} {threads}T", partial(self._measure, key, threads, "warm")

    def _prepare(self) -> None:
        options = self.options
        assert options.patience is not None
        self.idle = measure.Idle(options.patience)
        self.shipped: Any = None
        self.clocks: dict[str, tuple[Any, ...]] = {}
        if options.what == "memory":
            return
        if options.device == "cuda":
            self._prepare_gpu()
        elif options.against == "torch" and measure.keep_freed_memory():
            from .shipped import Shipped

            process = Shipped()
            self.stack.callback(process.close)
            self.shipped = process.open

    def _prepare_gpu(self) -> None:
        import torch

        from .. import set_float32_precision
        from . import gpu

        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = self.options.tf32
        torch.backends.cuda.matmul.allow_tf32 = self.options.tf32
        if self.options.tf32:
            set_float32_precision("tf32")
        for cache in ("warm", "cold"):
            self.clocks[cache] = gpu.clocks(cache, self.note)

    def _roof(self, name: str) -> roof.Roof:
        """The session's, measured where it is needed first; `name` is a number of threads or
        "gpu"."""
        if name not in self.roofs:
            make: Callable[[Sequence[str]], roof.Roof]
            again: roof.Again
            if name == "gpu":
                from . import gpu

                make, again = gpu.measure, gpu.again
            else:
                make, again = partial(roof.measure, int(name)), roof.anew(int(name))
            record = self.session.roof(name, lambda: make(self.options.dtypes).record())
            self.roofs[name] = roof.Roof.recorded(record, again)
        return self.roofs[name]

    def _measure(self, key: Key, threads: int | None, cache: str) -> list[Row]:
        options = self.options
        assert options.seconds is not None
        roof_name = "gpu" if threads is None else str(threads)
        ours, torch_clock, launched = self.clocks.get(cache, (HostClock(), None, None))
        setting = rows.Setting(
            roof=self._roof(roof_name),
            clock=ours,
            threads=threads,
            seconds=options.seconds,
            torch_clock=torch_clock,
            launched_clock=launched,
            device="cpu" if options.device == "cpu" else "cuda:0",
            cache=cache,
            layout=options.layout,
            against=options.against,
            idle=self.idle,
            shipped=self.shipped,
            # which problems are not a kernel's is no news
            note=lambda t: self.note(f"{key}: {t}") if options.what in suites.WHAT else None,
        )
        found = rows.measure(suites.make(key), options.asked(), setting)
        self.session.found_roof(roof_name, self._roof(roof_name).record())  # if it was corrected
        measure.give_back_freed_memory()
        return found
