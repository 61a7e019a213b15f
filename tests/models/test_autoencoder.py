"""The autoencoder's signatures: its default is the reconstruction, and `decode` maps latent vectors to images."""

import numpy as np
from conftest import tiny_model


def test_the_default_signature_is_the_reconstruction():
    model = tiny_model("autoencoder")
    image = np.random.RandomState(0).rand(2, 16, 16, 1).astype(np.float32)
    reconstruction = model.serve("reconstruct", image=image)["image"]
    np.testing.assert_array_equal(model.serve("serving_default", image=image)["image"], reconstruction)
    latent = model.serve("encode", image=image)["latent"]
    np.testing.assert_allclose(model.serve("decode", latent=latent)["image"], reconstruction, atol=1e-5)
    np.testing.assert_array_equal(model.serve("decode", latent=model.latents([1, 2]))["image"], model.sample([1, 2]))
