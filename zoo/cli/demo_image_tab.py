"""The controls of uploads on the page of `zoo demo`: translation and poses, super-resolution, fusion, classes."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from zoo.cli.demo_downloads import Downloads
from zoo.cli.demo_images import ImageTool, Reading
from zoo.cli.demo_widgets import as_integer, as_shown, build_result, build_upload, element_id, explain_errors

HEIGHT = 320  # pixels of an image on the page
OPTIONS: dict[str, Any] = {"api_visibility": "private"}


def build_image_tabs(name: str, tool: ImageTool, downloads: Downloads) -> None:
    """Adds a section for each kind of upload that the signatures of a model take."""
    tab = ImageTab(name, tool, downloads)
    for signature in tool.translations():
        tab.build_translation(signature)
    if tool.upscales():
        tab.build_upscaling()
    for signature in tool.fusions():
        tab.build_fusion(signature)
    if reading := tool.classification():
        tab.build_classification(reading)


class ImageTab:
    """The sections of a model.

    Args:
        name: The run or pretrained model.
        tool: What computes the images.
        downloads: Files for download.
    """

    def __init__(self, name: str, tool: ImageTool, downloads: Downloads) -> None:
        self.name, self.tool, self.downloads = name, tool, downloads

    def _id(self, *parts: str) -> str:
        return element_id(self.name, *parts)

    def _upload(self, *parts: str) -> gr.Image:
        return build_upload(label="Your image", height=HEIGHT, elem_id=self._id(*parts))

    def _pose_slider(self, *parts: str) -> gr.Slider:
        names = self.tool.pose_names()
        info = ", ".join(f"{i} = {pose}" for i, pose in enumerate(names)) if any(names[i] != str(i) for i in range(len(names))) else None
        return gr.Slider(0, len(names) - 1, (len(names) - 1) // 2, step=1, label="Pose", info=info, elem_id=self._id(*parts))

    def build_translation(self, signature: str) -> None:
        """An upload, the pose and the seed if the signature takes them, and the translated image."""
        gr.Markdown(f"### {signature.replace('_', ' ').capitalize()}")
        with gr.Row():
            upload = self._upload(signature, "upload")
            image = build_result("Result", HEIGHT, self._id(signature))
        controls: list[Any] = []
        if "pose" in self.tool.inputs(signature):
            controls.append(self._pose_slider(signature, "pose"))
        if "seed" in self.tool.inputs(signature):
            controls.append(gr.Number(0, label="Seed of the noise", precision=0, minimum=0, elem_id=self._id(signature, "seed")))
        png = gr.DownloadButton("PNG", elem_id=self._id(signature, "png"))
        names, tab = tuple("pose" if isinstance(control, gr.Slider) else "seed" for control in controls), self

        @explain_errors
        def translate(file: str | None, *values: Any) -> tuple[Any, str | None]:
            return tab.translate(signature, file, **dict(zip(names, values, strict=True)))

        triggers = [upload.change, *(control.input for control in controls)]
        gr.on(triggers, translate, [upload, *controls], [image, png], trigger_mode="always_last", show_progress="minimal", **OPTIONS)

    def translate(self, signature: str, file: str | None, pose: Any = 0, seed: Any = 0) -> tuple[Any, str | None]:
        """The translated image, and the file of its PNG; nothing before there is an upload.

        Args:
            signature: The signature.
            file: The uploaded file.
            pose: Number of the target pose.
            seed: Seed of the noise.

        Raises:
            UserError: For files that are not images, and values out of range.
        """
        if file is None:
            return None, None
        return self._offer(signature, self.tool.translate(signature, file, as_integer("pose", pose), as_integer("seed", seed)))

    def build_upscaling(self) -> None:
        """An upload, and a slider between the image as it was and as the model enlarges it."""
        gr.Markdown("### Super-resolution")
        upload = self._upload("upscale", "upload")
        slider = gr.ImageSlider(
            label="Bicubic interpolation | model", format="png", interactive=False, buttons=["fullscreen"], elem_id=self._id("upscale")
        )
        png = gr.DownloadButton("PNG", elem_id=self._id("upscale", "png"))
        upload.change(self.upscale, upload, [slider, png], **OPTIONS)

    @explain_errors
    def upscale(self, file: str | None) -> tuple[Any, str | None]:
        """Both images, and the file of the enlarged one."""
        if file is None:
            return None, None
        before, after = self.tool.upscale(file)
        shown = tuple(picture.squeeze(-1) if picture.shape[-1] == 1 else picture for picture in (before, after))
        return shown, self._offer("upscaled", after)[1]

    def build_fusion(self, signature: str) -> None:
        """Several uploads of one identity, a pose, and the fused image."""
        gr.Markdown("### Fuse several images of one identity")
        with gr.Row():
            uploads = gr.File(
                label="Your images", file_count="multiple", file_types=["image"], height=HEIGHT, elem_id=self._id(signature, "upload")
            )
            image = build_result("Fused", HEIGHT, self._id(signature))
        pose, png = self._pose_slider(signature, "pose"), gr.DownloadButton("PNG", elem_id=self._id(signature, "png"))
        similarities = gr.Textbox(label="Cosine similarity of each image to the fused features", elem_id=self._id(signature, "similarity"))
        tab = self

        @explain_errors
        def fuse(files: list[str] | None, pose: Any) -> tuple[Any, str | None, str]:
            return tab.fuse(signature, files, pose)

        gr.on([uploads.change, pose.input], fuse, [uploads, pose], [image, png, similarities], trigger_mode="always_last", **OPTIONS)

    def fuse(self, signature: str, files: list[str] | None, pose: Any) -> tuple[Any, str | None, str]:
        """The fused image in a pose, the file of its PNG, and the similarity of each image to it; nothing before there are uploads."""
        if not files:
            return None, None, ""
        picture, similarities = self.tool.fuse(signature, files, as_integer("pose", pose))
        listed = ", ".join(f"{value:.3f}" for value in similarities)
        return (None, None, listed) if picture is None else (*self._offer(signature, picture), listed)

    def _offer(self, kind: str, picture: np.ndarray) -> tuple[np.ndarray, str]:
        """A picture as it is shown, and the file of its PNG."""
        from zoo.cli.arguments import write_picture

        png = self.downloads.path(f"{element_id(self.name, kind)}.png")
        write_picture(png, picture)
        return as_shown(picture), str(png)

    def build_classification(self, reading: Reading) -> None:
        """An upload, and the probabilities of its classes."""
        gr.Markdown("### Classify an image" if reading.reads_classes else "### Read the latent code of an image")
        with gr.Row():
            upload = self._upload("classify", "upload")
            with gr.Column():
                label = gr.Label(label="Probabilities", num_top_classes=5, elem_id=self._id("classify"))
                numbers = gr.Textbox(label="Continuous codes", visible=bool(reading.others), elem_id=self._id("classify", "numbers"))
        tab = self

        @explain_errors
        def classify(file: str | None) -> tuple[Any, str]:
            return (None, "") if file is None else tab.tool.classify(reading, file)

        upload.change(classify, upload, [label, numbers], **OPTIONS)
