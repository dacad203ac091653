"""The primitives as C++ entry points: what the native and the CUDA kernels share in Python.

Each module enters one family in the table, for the extension module that is handed to its
`register`: csrc/bindings holds the functions it calls, the same for all of them.
"""
