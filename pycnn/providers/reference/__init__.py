"""The reference provider: every primitive in plain NumPy/CuPy, readable; the specification the
other providers are held to.

Every module here is imported, and importing one registers its kernels: a new family needs no line
in this file."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f".{_module.name}", __name__)
