"""csrc/cpu/conv2d_direct.cpp: register tiles over packed filters; any geometry."""

from .conv2d import register_conv2d

register_conv2d("direct", wgrad=None)
