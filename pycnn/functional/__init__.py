"""Differentiable ops with torch's names, signatures and defaults, one file per family.

`torch.nn.functional`'s names are here, and those of the tensor operations (add, sum, reshape,
matmul ...) that torch keeps at its top level; pycnn's top level has the latter too."""

from .activation import *
from .conv import *
from .detection import *
from .distance import *
from .dropout import *
from .elementwise import *
from .fold import *
from .indexing import *
from .linalg import *
from .loss import *
from .norm import *
from .pad import *
from .pixel import *
from .pool import *
from .reduction import *
from .resize import *
from .shape import *
from .softmax import *
from .sorting import *
from .sparse import *
