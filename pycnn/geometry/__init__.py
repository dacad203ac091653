"""Geometries: the frozen facts of one call, and the only home of output-size formulas.

Letters are cuDNN's: N C H W in, K R S filter, P Q out, G groups. A geometry is hashable (its hash
is computed once), so that `dispatch.select` can be cached on it; the `..._geometry` functions
validate their arguments, raise torch's classes of error, and return the same object for the same
arguments.
"""

from .base import LIMIT, Geometry, frozen, integers, pair, tap_span
from .conv2d import Conv2dGeometry, conv2d_geometry, conv_output_size, conv_transpose2d_geometry
from .other import (
    BatchNormGeometry,
    ConcatGeometry,
    CrossEntropyGeometry,
    DropoutGeometry,
    ElementwiseGeometry,
    GemmGeometry,
    LocalResponseNormGeometry,
    ReduceGeometry,
    SoftmaxGeometry,
    batch_norm_geometry,
    concat_geometry,
    cross_entropy_geometry,
    dropout_geometry,
    elementwise_geometry,
    gemm_geometry,
    reduce_geometry,
    softmax_geometry,
)
from .pool2d import (
    Pool2dGeometry,
    adaptive_pool2d_geometry,
    pool2d_geometry,
    pool_output_size,
)
from .resize2d import Resize2dGeometry, resize2d_geometry, resized
