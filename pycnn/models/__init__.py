"""Convolutional networks from the papers, one file each.

Every constructor takes `num_classes=` and `width=`, which scales the channel counts (rounded up to
a multiple of 8). Parameters carry torchvision's names, so that its checkpoints load. All but
LeNet-5 keep their convolution weights channels-last, and so run channels-last after the first
convolution.
"""

from __future__ import annotations

from .alexnet import *
from .autoencoder import *
from .chairs import *
from .convolutionize import *
from .deconvnet import *
from .densenet import *
from .densenet_cifar import *
from .efficientnet import *
from .encoder_decoder import *
from .fast_rcnn import *
from .fcn import *
from .fractalnet import *
from .googlenet import *
from .inception_bn import *
from .inception_resnet import *
from .inception_v3 import *
from .inception_v4 import *
from .lenet import *
from .mobilenet import *
from .nin import *
from .preact_resnet import *
from .registry import IMAGENET, ModelEntry, get_model, list_models, model_entry
from .resnet import *
from .resnet_cifar import *
from .resnext import *
from .resnext_cifar import *
from .segnet import *
from .senet import *
from .shufflenet_v1 import *
from .shufflenet_v2 import *
from .squeezenet import *
from .stochastic_depth import *
from .unet import *
from .vgg import *
from .wide_resnet import *
from .wide_resnet_cifar import *
from .xception import *
from .zfnet import *
