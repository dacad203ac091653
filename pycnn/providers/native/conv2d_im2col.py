"""csrc/cpu/conv2d_im2col.cpp: every convolution, as a matrix product with the image's patches."""

from .conv2d import register_conv2d

register_conv2d("im2col")
