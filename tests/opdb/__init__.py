"""Third-party samples: PyTorch's own op_db run through pycnn, values, gradients and errors
compared."""
