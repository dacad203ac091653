"""What explains a network and its kernels: block diagrams, which kernel a layer gets, and `check`,
which holds a kernel of your own to pycnn's cases."""

from .check_kernel import check
