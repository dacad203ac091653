"""What explains a network and its kernels: block diagrams, and which kernel a layer gets."""
