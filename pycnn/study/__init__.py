"""What explains a network and its kernels: its block diagram, which kernel every layer gets, why."""
