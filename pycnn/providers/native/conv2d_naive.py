"""csrc/cpu/conv2d_naive.cpp: the formula, one output element at a time."""

from .conv2d import register_conv2d

register_conv2d("naive")
