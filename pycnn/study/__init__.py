"""What explains a kernel: which one every layer of a network gets, and why."""
