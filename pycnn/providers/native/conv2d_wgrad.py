"""csrc/cpu/conv2d_wgrad.cpp: rank-1 updates of register tiles, pixel after pixel."""

from .conv2d import register_conv2d

register_conv2d("direct", fprop=None, dgrad=None)
