"""Differentiable ops with torch's names, signatures and defaults, one file per family."""

# temporary: families are imported as they land
import importlib
import pathlib

for _name in ("elementwise", "reduction", "shape", "indexing", "linalg", "sorting", "activation", "softmax", "conv", "fold", "pool", "norm",
              "resize", "pad", "pixel", "dropout", "loss", "sparse", "distance"):
    if (pathlib.Path(__file__).parent / f"{_name}.py").exists():
        try:
            _module = importlib.import_module(f".{_name}", __name__)
        except ImportError as _e:
            print("pycnn.functional: family", _name, "does not import yet:", _e)
            continue
        globals().update({n: getattr(_module, n) for n in _module.__all__})
