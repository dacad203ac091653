"""The Triton kernels, one file per family and algorithm.

This folder is installed as `pycnn.kernels`. A kernel file holds kernels and their launchers, which
take raw arrays; what may run when is registered in `pycnn/providers/triton/`.
"""

if __name__ != "pycnn.kernels":
    raise ImportError(
        f"the kernels were imported as '{__name__}', but their name is 'pycnn.kernels': "
        "install pycnn and import that"
    )
