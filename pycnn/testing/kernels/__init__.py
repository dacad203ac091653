"""Kernels under one table of cases: what pycnn's own tests and a user's kernel are held to.

`cases` lists the problems of every primitive, `harness` draws, runs and judges them. PyTorch, which
has the answers, is imported here, so that `pycnn.testing` itself does not import this package.
"""
