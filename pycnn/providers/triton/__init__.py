"""The Triton kernels of kernels/: compiled on a GPU, interpreted on a CPU where asked for by name.

Each module registers one family. The order of a primitive's algorithms here, special before
general, is the order in which they are tried.
"""

from importlib import import_module

_MODULES: tuple[str, ...] = ("add_activation", "dropout", "elementwise", "reduce")

for _name in _MODULES:
    import_module(f".{_name}", __name__)
