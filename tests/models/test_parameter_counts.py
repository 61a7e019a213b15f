"""The papers' own networks, exact to the layer: numbers of trainable parameters."""

import itertools

import keras
import pytest

import zoo

COUNTS = {  # (generator, discriminator): weights that are trained
    "gan_mnist": (2_503_984, 1_231_441),
    "cgan_mnist": (2_413_984, 1_224_351),
    "dcgan_64": (3_576_704, 2_765_568),
    "wgan_64": (3_576_704, 2_765_568),
    "wgan_gp_mnist": (1_554_177, 1_030_145),
    "wgan_gp_32": (1_204_483, 1_053_825),  # by hand
    "infogan_mnist": (6_652_481, 6_559_169 + 133_004),  # by hand: Q has a dense layer of 128 with its norm, and 12 outputs
    "sgan_mnist": (694_568, 1_538_770),  # by hand
    "sgan_32": (4_926_595, 1_406_804),  # by hand
    "lsgan_112": (15_591_427, 4_333_441),  # by hand
    "ebm_32": (18_591_105,),  # by hand
    "autoencoder_mnist": (2_837_314,),  # by hand
    "vae_mnist": (69_076 + 65_089,),
    "vae_perceptron": (815_824,),  # by hand
    "sngan_projection_32": (4_304_387, 1_055_104),  # by hand
    "sngan_32": (4_276_739, 1_053_824),
    "sngan_cnn_32": (3_813_379, 5_860_865),
    "sagan_128": (42_017_412, 39_448_258),  # by hand
    "pggan_32": (1_296_908, 1_298_689),  # by hand
    "pggan_1024": (23_079_115, 23_087_249),
    "biggan_128": (70_433_988, 87_982_370),
    "biggan_256": (82_097_604, 99_225_890),  # by hand
    "r3gan_32": (20_732_160, 20_683_776),  # by hand
    "r3gan_256": (23_057_952, 23_009_568),  # by hand
    "cyclegan_256": (2 * 11_378_179, 2 * 2_764_737),
    "cyclegan_128": (2 * 7_837_699, 2 * 2_764_737),
    "pix2pix_256": (54_419_459, 2_769_601),
}


def counted(model):
    return tuple(sum(w.shape.num_elements() for w in network.trainable_weights) for network in model.players.values())


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_are_the_papers(zero_weights, name):
    classes = {"num_classes": 1000} if name in ("sagan_128", "biggan_128", "biggan_256") else {}  # ImageNet's; else CIFAR-10's
    assert counted(zoo.create(name, **classes)) == COUNTS[name]


def dense(inputs, units):
    return (inputs + 1) * units


def convolution(kernel, inputs, filters, norm=True):
    return kernel * kernel * inputs * filters + filters + 2 * filters * norm


@pytest.mark.parametrize(
    "name, widths, start, flat",
    [("acgan_32", (384, 192, 96), 4, 4 * 4 * 512), ("acgan_128", (768, 384, 256, 192, 64), 4, 16 * 16 * 512)],
)
def test_acgan_is_its_tables(zero_weights, name, widths, start, flat):
    model = zoo.create(name)
    generator = dense(110, start * start * widths[0]) + sum(convolution(5, a, b) for a, b in itertools.pairwise(widths))
    generator += convolution(5, widths[-1], 3, norm=False)
    filters = (3, 16, 32, 64, 128, 256, 512)
    discriminator = sum(convolution(3, a, b, norm=i > 0) for i, (a, b) in enumerate(itertools.pairwise(filters)))
    discriminator += dense(flat, 1) + dense(flat, 10)
    assert counted(model) == (generator, discriminator)
    strides = [layer.strides[0] for layer in model.discriminator.layers if isinstance(layer, keras.layers.Conv2D)]
    assert strides == [2, 1, 2, 1, 2, 1]
