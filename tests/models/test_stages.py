"""The sizes and channels of every stage of the papers' own networks, which parameter counts alone do not determine."""

import math

import keras
import pytest

import zoo
from zoo import registry

# A stage is (side, channels, number of convolutions with that output: 0 for the output of a pooling, resampling or concatenation); an int
# is the units of a dense layer. A dense layer whose units are reshaped to feature maps is the first convolution of their stage.


def attention(side, channels):
    """Queries with an eighth of the channels, values with half of them."""
    return [(side, channels // 8, 1), "softmax", (side, channels // 2, 0), (side, channels, 1)]


def bottlenecks(side, width):
    """Two of R3GAN's inverted bottlenecks: 1x1 to twice the width, 3x3, 1x1 back."""
    return [(side, 2 * width, 2), (side, width, 1)] * 2


DCGAN = ([(4, 512, 1), (8, 256, 1), (16, 128, 1), (32, 64, 1), (64, 3, 1)], [(32, 64, 1), (16, 128, 1), (8, 256, 1), (4, 512, 1), 1])
SNGAN = ([(4, 256, 1), (8, 256, 2), (16, 256, 2), (32, 256, 2), (32, 3, 1)], [(32, 128, 2), (16, 128, 2), (8, 128, 4), 1])
SRRESNET = [(24, 64, 1 + 2 * 16 + 1), (24, 256, 1), (48, 64, 0), (48, 256, 1), (96, 64, 0), (96, 3, 1)]
PATCHGAN = [(128, 64, 1), (64, 128, 1), (32, 256, 1), (31, 512, 1), (30, 1, 1)]


def translator(side, blocks):
    """CycleGAN's translator, whose blocks are at a quarter of the image's side."""
    outer = [(side, 64, 1), (side // 2, 128, 1)]
    return [*outer, (side // 4, 256, 1 + 2 * blocks), *reversed(outer), (side, 3, 1)]


STAGES = {  # generator and discriminator; encoder and decoder; both translators and a discriminator
    "gan_mnist": ([1200, 1200, (28, 1, 1)], [240 * 5, 240 * 5, 1]),  # code, mnist.yaml: maxout units x pieces
    "cgan_mnist": ([1000, 1200, (28, 1, 1)], [240 * 5, 240 * 4, 1]),  # §4.1: the wider of the layers on the two inputs
    "dcgan_64": DCGAN,  # code (Torch)
    "wgan_64": DCGAN,  # code
    "wgan_gp_mnist": (  # code: 8x8 feature maps are cropped to 7x7
        [(4, 256, 1), (8, 128, 1), (7, 128, 0), (14, 64, 1), (28, 1, 1)],
        [(14, 64, 1), (7, 128, 1), (4, 256, 1), 1],
    ),
    "wgan_gp_32": (  # code; appendix F
        [(4, 128, 1), (8, 128, 2), (16, 128, 2), (32, 128, 2), (32, 3, 1)],
        [(32, 128, 2), (16, 128, 2), (8, 128, 4), 1],
    ),
    "lsgan_112": (  # code, vgg.py
        [(7, 256, 1), (14, 256, 2), (28, 256, 2), (56, 128, 1), (112, 64, 1), (112, 3, 1)],
        [(56, 64, 1), (28, 128, 1), (14, 256, 1), (7, 512, 1), 1],
    ),
    "infogan_mnist": (  # code; appendix C.1: the discriminator up to Q's category
        [1024, (7, 128, 1), (14, 64, 1), (28, 1, 1)],
        [(14, 64, 1), (7, 128, 1), 1024, 128, 10],
    ),
    "sgan_mnist": ([500, 500, (28, 1, 1)], [1000, 500, 250, 250, 250, 10]),  # code
    "sgan_32": (  # code
        [(4, 512, 1), (8, 256, 1), (16, 128, 1), (32, 3, 1)],
        [(32, 96, 2), (16, 96, 1), (16, 192, 2), (8, 192, 1), (6, 192, 3), 10],
    ),
    "acgan_quick": ([(4, 128, 1), (8, 64, 1), (7, 64, 0), (14, 32, 1), (28, 1, 1)], [(14, 16, 1), (7, 32, 1), (4, 64, 1), 1024, 1]),
    "acgan_32": (  # table 2
        [(4, 384, 1), (8, 192, 1), (16, 96, 1), (32, 3, 1)],
        [(16, 16, 1), (16, 32, 1), (8, 64, 1), (8, 128, 1), (4, 256, 1), (4, 512, 1), 1],
    ),
    "acgan_128": (  # table 1, plus a layer with 64 channels without which it does not reach 128 pixels
        [(4, 768, 1), (8, 384, 1), (16, 256, 1), (32, 192, 1), (64, 64, 1), (128, 3, 1)],
        [(64, 16, 1), (64, 32, 1), (32, 64, 1), (32, 128, 1), (16, 256, 1), (16, 512, 1), 1],
    ),
    "ebm_32": ([(32, 128, 3), (16, 128, 4), (16, 256, 2), (8, 256, 4), (8, 512, 2), (4, 512, 4), 1],),  # code, ResNet32Large
    "autoencoder_mnist": ([1000, 500, 250, 30], [250, 500, 1000, (28, 1, 1)]),
    "vae_mnist": ([(14, 32, 1), (7, 64, 1), 16, 2], [(7, 64, 1), (14, 64, 1), (28, 32, 1), (28, 1, 1)]),  # keras.io
    "vae_perceptron": ([500, 20], [500, (28, 1, 1)]),  # §5
    "sngan_32": SNGAN,  # table 4
    "sngan_projection_32": SNGAN,
    "sngan_cnn_32": (  # table 3; the discriminator's widths as in the code
        [(4, 512, 1), (8, 256, 1), (16, 128, 1), (32, 64, 1), (32, 3, 1)],
        [(32, 64, 1), (16, 128, 2), (8, 256, 2), (4, 512, 2), 1],
    ),
    "sagan_128": (  # code; attention where table 1 has the best scores
        [(4, 1024, 1), (8, 1024, 2), (16, 1024, 0), (16, 512, 2), (32, 512, 0), (32, 256, 2), (64, 256, 0), (64, 128, 2)]
        + [*attention(64, 128), (128, 128, 0), (128, 64, 2), (128, 3, 1)],
        [(128, 64, 2), (64, 64, 0), *attention(64, 64), (64, 128, 2), (32, 128, 0), (32, 256, 2), (16, 256, 0), (16, 512, 2)]
        + [(8, 512, 0), (8, 1024, 2), (4, 1024, 2), 1],
    ),
    "biggan_128": (  # table 4, ch = 96
        [(4, 1536, 1), (8, 1536, 2), (16, 1536, 0), (16, 768, 2), (32, 768, 0), (32, 384, 2), (64, 384, 0), (64, 192, 2)]
        + [*attention(64, 192), (128, 192, 0), (128, 96, 2), (128, 3, 1)],
        [(128, 96, 2), (64, 96, 0), *attention(64, 96), (64, 192, 2), (32, 192, 0), (32, 384, 2), (16, 384, 0), (16, 768, 2)]
        + [(8, 768, 0), (8, 1536, 2), (4, 1536, 2), 1],
    ),
    "biggan_256": (  # table 5, ch = 96
        [(4, 1536, 1), (8, 1536, 2), (16, 1536, 0), (16, 768, 2), (32, 768, 2), (64, 768, 0), (64, 384, 2), (128, 384, 0), (128, 192, 2)]
        + [*attention(128, 192), (256, 192, 0), (256, 96, 2), (256, 3, 1)],
        [(256, 96, 2), (128, 96, 0), (128, 192, 2), (64, 192, 0), *attention(64, 192), (64, 384, 2), (32, 384, 0), (32, 768, 2)]
        + [(16, 768, 2), (8, 768, 0), (8, 1536, 2), (4, 1536, 2), 1],
    ),
    "pggan_32": (  # code (Theano, CIFAR-10)
        [(4, 128, 2), (8, 128, 2), (16, 128, 2), (32, 128, 2), (32, 3, 1)],
        [(32, 128, 3), (16, 128, 2), (8, 128, 2), (4, 128, 0), (4, 129, 0), (4, 128, 1), (1, 128, 1), 1],
    ),
    "pggan_1024": (  # table 2
        [(4, 512, 2), (8, 512, 2), (16, 512, 2), (32, 512, 2), (64, 512, 0), (64, 256, 2), (128, 256, 0), (128, 128, 2), (256, 128, 0)]
        + [(256, 64, 2), (512, 64, 0), (512, 32, 2), (1024, 32, 0), (1024, 16, 2), (1024, 3, 1)],
        [(1024, 16, 2), (1024, 32, 1), (512, 32, 1), (512, 64, 1), (256, 64, 1), (256, 128, 1), (128, 128, 1), (128, 256, 1)]
        + [(64, 256, 1), (64, 512, 1), (32, 512, 2), (16, 512, 2), (8, 512, 2), (4, 512, 0), (4, 513, 0), (4, 512, 1), (1, 512, 1), 1],
    ),
    "r3gan_32": (  # code
        [(4, 768, 1), *bottlenecks(4, 768), (8, 768, 0), *bottlenecks(8, 768), (16, 768, 0), *bottlenecks(16, 768)]
        + [(32, 768, 0), *bottlenecks(32, 768), (32, 3, 1)],
        [(32, 768, 1), *bottlenecks(32, 768), (16, 768, 0), *bottlenecks(16, 768), (8, 768, 0), *bottlenecks(8, 768)]
        + [(4, 768, 0), *bottlenecks(4, 768), (1, 768, 0), 1],
    ),
    "r3gan_256": (  # code
        [(4, 768, 1), *bottlenecks(4, 768), (8, 768, 0), *bottlenecks(8, 768), (16, 768, 0), *bottlenecks(16, 768)]
        + [(32, 768, 0), *bottlenecks(32, 768), (32, 384, 1), (64, 384, 0), *bottlenecks(64, 384), (64, 192, 1), (128, 192, 0)]
        + [*bottlenecks(128, 192), (128, 96, 1), (256, 96, 0), *bottlenecks(256, 96), (256, 3, 1)],
        [(256, 96, 1), *bottlenecks(256, 96), (128, 96, 0), (128, 192, 1), *bottlenecks(128, 192), (64, 192, 0), (64, 384, 1)]
        + [*bottlenecks(64, 384), (32, 384, 0), (32, 768, 1), *bottlenecks(32, 768), (16, 768, 0), *bottlenecks(16, 768)]
        + [(8, 768, 0), *bottlenecks(8, 768), (4, 768, 0), *bottlenecks(4, 768), (1, 768, 0), 1],
    ),
    "pix2pix_256": (  # §6.1; code: each stage of the decoder is concatenated to the encoder's
        [(128, 64, 1), (64, 128, 1), (32, 256, 1), (16, 512, 1), (8, 512, 1), (4, 512, 1), (2, 512, 1), (1, 512, 1)]
        + [(2, 512, 1), (2, 1024, 0), (4, 512, 1), (4, 1024, 0), (8, 512, 1), (8, 1024, 0), (16, 512, 1), (16, 1024, 0)]
        + [(32, 256, 1), (32, 512, 0), (64, 128, 1), (64, 256, 0), (128, 64, 1), (128, 128, 0), (256, 3, 1)],
        PATCHGAN,
    ),
    "cyclegan_256": (translator(256, 9), translator(256, 9), PATCHGAN),  # appendix
    "cyclegan_128": (translator(128, 6), translator(128, 6), [(64, 64, 1), (32, 128, 1), (16, 256, 1), (15, 512, 1), (14, 1, 1)]),
    "srresnet_96": (SRRESNET,),  # figure 4
    "srgan_96": (
        SRRESNET,
        [(96, 64, 1), (48, 64, 1), (48, 128, 1), (24, 128, 1), (24, 256, 1), (12, 256, 1), (12, 512, 1), (6, 512, 1), 1024, 1],
    ),
}


def longest_path(outputs):
    """(layer, output shape) pairs from input to output.

    Backwards, the path follows the largest of a layer's inputs; of equally large ones, the one with the longest path.
    """
    paths = {}

    def path_to(x):
        if id(x) not in paths:
            layer, call, _ = x._keras_history
            candidates = [path_to(tensor) for tensor in layer._inbound_nodes[call].input_tensors]
            longest = max(candidates, key=lambda path: (math.prod(path[-1][1]), len(path)), default=[])
            paths[id(x)] = [*longest, (layer, x.shape[1:])]
        return paths[id(x)]

    return max(map(path_to, keras.tree.flatten(outputs)), key=len)


def stages(outputs):
    """The stages of a network along its longest path, from its first layer with a kernel on; without padding layers."""
    rows = []
    for layer, shape in longest_path(outputs):
        kernels = int(any(len(weight.shape) in (2, 4) for weight in getattr(layer, "weights", ())))
        kernels *= not isinstance(layer, keras.layers.DepthwiseConv2D)  # a scale per channel, or a sum over positions
        last = rows[-1] if rows else None
        if isinstance(layer, keras.layers.Softmax):
            rows.append("softmax")
        elif len(shape) == 1 and kernels:
            rows.append(shape[0])
        elif len(shape) == 3 and (rows or kernels) and "Pad" not in type(layer).__name__:
            side, _, channels = shape
            if isinstance(last, int):
                kernels += 1
                rows.pop()
            elif isinstance(last, tuple) and last[:2] == (side, channels):
                kernels += last[2]
                rows.pop()
            rows.append((side, channels, kernels))
    return rows


def networks(model):
    """A model's networks; for a generator that consists of two networks, both of them."""
    for network in filter(None, (model.generator, model.discriminator)):
        yield from [layer for layer in network.layers if isinstance(layer, keras.Model)] or [network]


def outputs_at(network, side):
    """A network's outputs; for one that accepts images of any size, those for images of the given side."""
    if None not in keras.tree.flatten([x.shape[1:] for x in network.inputs]):
        return network.outputs
    return network.call({x.name: keras.Input((side, side, x.shape[-1])) for x in network.inputs})


@pytest.mark.parametrize("name", STAGES)
def test_stages_are_the_papers(zero_weights, name):
    model = zoo.create(name, **({"content_loss": "mse"} if name == "srgan_96" else {}))  # VGG's weights are not available in tests
    for network, expected in zip(networks(model), STAGES[name], strict=True):
        side = expected[0][0] if isinstance(expected[0], tuple) else None
        assert stages(outputs_at(network, side)) == expected
    if hasattr(model, "generators"):
        check_grown_networks(model, *STAGES[name])


def check_grown_networks(model, generator_stages, critic_stages):
    """The networks of each stage have the stages of the whole one up to their resolution, and a layer to or from RGB."""
    assert len(model.generators) == len(model.critics) == math.log2(generator_stages[-1][0]) - 1
    for i, (generator, critic) in enumerate(zip(model.generators, model.critics, strict=True)):
        side = 4 * 2**i
        assert generator.output_shape == critic.get_layer("image").output.shape == (None, side, side, 3)
        assert stages(generator.outputs) == [*(row for row in generator_stages[:-1] if row[0] <= side), (side, 3, 1)]
        (side, channels, convolutions), *others = (row for row in critic_stages if row == 1 or row[0] <= side)
        assert stages(critic.outputs) == [(side, channels, convolutions + (critic is not model.critics[-1])), *others]


def test_every_network_of_a_paper_has_its_stages_listed():
    presets = {name for name in zoo.list_models() if registry.get_entry(name).config.image_shape} - {"srgan", "srresnet"}
    assert presets - set(STAGES) == {"drgan_96", "drgan_multi_96", "drgan_tpami_96"}  # theirs are in test_drgan.py
