"""Building blocks that two or more models use."""

from zoo.core.layers.attention import attended_features, nearest_size, self_attention
from zoo.core.layers.convolution import (
    conv,
    crop_to,
    dcgan_discriminator_trunk,
    dcgan_generator_trunk,
    downsample,
    normal_init,
    upsample,
    upsample_conv,
)
from zoo.core.layers.heads import (
    global_sum_pool,
    image_output,
    label_input,
    logits,
    maxout,
    patch_logits,
    projection_logit,
    sigmoid_output,
)
from zoo.core.layers.normalization import (
    BatchNorm,
    ChannelBias,
    InstanceNorm,
    LearnedScale,
    batch_norm,
    class_norm_relu,
    conditional_norm_relu,
    norm_relu,
    plain_norm_relu,
)
from zoo.core.layers.replay_buffer import ReplayBuffer
from zoo.core.layers.residual import glorot_conv, residual_down, residual_features, residual_generator, residual_up
from zoo.core.layers.sizes import channel_widths, halved_resolutions, last_widths, resolutions
from zoo.core.layers.spectral import SpectralConv2D, SpectralDense, SpectralEmbedding, SpectralNorm, spectral_conv

__all__ = [
    "BatchNorm",
    "ChannelBias",
    "InstanceNorm",
    "LearnedScale",
    "ReplayBuffer",
    "SpectralConv2D",
    "SpectralDense",
    "SpectralEmbedding",
    "SpectralNorm",
    "attended_features",
    "batch_norm",
    "channel_widths",
    "class_norm_relu",
    "conditional_norm_relu",
    "conv",
    "crop_to",
    "dcgan_discriminator_trunk",
    "dcgan_generator_trunk",
    "downsample",
    "global_sum_pool",
    "glorot_conv",
    "halved_resolutions",
    "image_output",
    "label_input",
    "last_widths",
    "logits",
    "maxout",
    "nearest_size",
    "norm_relu",
    "normal_init",
    "patch_logits",
    "plain_norm_relu",
    "projection_logit",
    "residual_down",
    "residual_features",
    "residual_generator",
    "residual_up",
    "resolutions",
    "self_attention",
    "sigmoid_output",
    "spectral_conv",
    "upsample",
    "upsample_conv",
]
