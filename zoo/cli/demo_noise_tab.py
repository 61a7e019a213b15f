"""The controls of a model that generates from noise, on the page of `zoo demo`."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Any

import gradio as gr

from zoo.cli.demo_downloads import Downloads
from zoo.cli.demo_noise import MAX_CODE, MAX_FRAMES, MAX_STEP, NoiseTool, SampleRequest, write_settings
from zoo.cli.demo_widgets import as_integer, as_shown, build_result, element_id, explain_errors

MAX_TRUNCATION = 3.0
LARGEST_SEED = 2**53 - 1  # integers that JavaScript represents exactly
FRAMES = 20


class NoiseTab:
    """Samples of a model, sliders, and walks.

    Args:
        name: The run or pretrained model.
        tool: What computes the samples.
        downloads: Files for download.
    """

    def __init__(self, name: str, tool: NoiseTool, downloads: Downloads) -> None:
        self.name, self.tool, self.downloads = name, tool, downloads
        names = tool.model.class_names or tuple(map(str, range(tool.num_classes)))
        self.classes = [(f"{i}" if names[i] == str(i) else f"{i}: {names[i]}", i) for i in range(tool.num_classes)]
        self.controls: dict[str, Any] = {}  # by the names that `read` takes

    def build(self, page: gr.Blocks) -> None:
        """Adds the controls to the page, and their events."""
        with gr.Row():
            with gr.Column(scale=2):
                self._build_controls()
                another = gr.Button("Another seed", elem_id=self._id("another"))
            with gr.Column(scale=3):
                image = build_result("Sample", 400, self._id("sample"))
                with gr.Row():
                    png = gr.DownloadButton("PNG", elem_id=self._id("png"))
                    settings = gr.DownloadButton("Seed and settings (JSON)", elem_id=self._id("settings"))
        outputs, inputs = [image, png, settings], list(self.controls.values())
        options: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        codes = [control for name, control in self.controls.items() if name.startswith(("category", "code"))]
        seed = self.controls["seed"]
        others = [control for control in inputs if control is not seed or not codes]
        gr.on([control.input for control in others] + [page.load], self.draw, inputs, outputs, trigger_mode="always_last", **options)
        event = another.click(self.choose_seed, None, seed, **options)
        if codes:  # a new seed has a code of its own
            seed.input(self.read_codes, seed, codes, **options).then(self.draw, inputs, outputs, **options)
            event = event.then(self.read_codes, seed, codes, **options)
        event.then(self.draw, inputs, outputs, **options)
        self._build_walk(inputs)

    def _id(self, *parts: str) -> str:
        return element_id(self.name, *parts)

    def _build_controls(self) -> None:
        tool, controls = self.tool, self.controls
        controls["seed"] = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=LARGEST_SEED, elem_id=self._id("seed"))
        if self.classes:
            controls["label"] = gr.Dropdown(self.classes, value=0, label="Class", elem_id=self._id("class"))
        if tool.model.supports_truncation:
            controls["truncation"] = gr.Slider(
                0, MAX_TRUNCATION, 0, step=0.05, label="Truncation (0: none)", info="less: less diverse", elem_id=self._id("truncation")
            )
        if tool.code is not None:
            category, numbers = tool.codes_of(0)
            choices = list(range(len(tool.code.category)))
            controls["category"] = gr.Dropdown(choices, value=category, label="Category of the code", elem_id=self._id("category"))
            for i, value in enumerate(numbers):
                identifier = self._id("code", str(i + 1))
                controls[f"code{i}"] = gr.Slider(-MAX_CODE, MAX_CODE, value, step=0.05, label=f"Code {i + 1}", elem_id=identifier)
        if tool.reason:
            gr.Markdown(f"No sliders along directions: {tool.reason}.")
        elif tool.direction_names:
            gr.Markdown("Steps along directions, in standard deviations:")
        for name in tool.direction_names:
            controls[f"step_{name}"] = gr.Slider(-MAX_STEP, MAX_STEP, 0, step=0.1, label=name, elem_id=self._id(name))

    def _build_walk(self, inputs: list[Any]) -> None:
        """The controls of a walk from the sample that is shown to another one."""
        with gr.Accordion("Walk to another sample", open=False, elem_id=self._id("walk")), gr.Row():
            with gr.Column(scale=2):
                target = gr.Number(1, label="Seed of the other sample", precision=0, minimum=0, maximum=LARGEST_SEED)
                extra = [gr.Dropdown(self.classes, value=0, label="Its class")] if self.classes else []
                frames = gr.Slider(2, MAX_FRAMES, FRAMES, step=1, label="Frames of each way")
                button = gr.Button("Walk", variant="primary", elem_id=self._id("walk-button"))
            with gr.Column(scale=3):
                film = gr.Image(
                    label="Walk",
                    type="filepath",
                    format="gif",
                    interactive=False,
                    buttons=["download", "fullscreen"],
                    height=400,
                    elem_id=self._id("film"),
                )
        button.click(self.walk, [frames, target, *extra, *inputs], film, api_visibility="private")

    def read(self, *values: Any) -> SampleRequest:
        """The sample that the values of the controls describe; raises UserError for fields that are empty."""
        by_name = dict(zip(self.controls, values, strict=True))
        codes = tuple(float(value) for name, value in by_name.items() if name.startswith("code"))
        return SampleRequest(
            seed=as_integer("seed", by_name["seed"]),
            label=as_integer("class", by_name["label"]) if "label" in by_name else None,
            truncation=by_name.get("truncation") or None,
            steps=tuple(float(value) for name, value in by_name.items() if name.startswith("step_")),
            category=by_name.get("category"),
            codes=codes or None,
        )

    @explain_errors
    def draw(self, *values: Any) -> tuple[Any, str, str]:
        """The image of a sample, and the files of its PNG and its settings."""
        from zoo.cli.arguments import write_picture

        request = self.read(*values)
        picture = self.tool.sample(request)
        stem = f"{element_id(self.name)}-{request.name}"
        png = self.downloads.path(f"{stem}.png")
        write_picture(png, picture)
        settings = write_settings(self.downloads.path(f"{stem}.json"), self.name, request, self.tool.direction_names)
        return as_shown(picture), str(png), str(settings)

    @explain_errors
    def walk(self, frames: Any, target: Any, *values: Any) -> str:
        """The file of a film from the sample of the controls to another seed, and class if the model is class-conditional."""
        label = None
        if self.classes:
            label, *values = values  # type: ignore[assignment]
            label = as_integer("class", label)
        first = self.read(*values)
        last = dataclasses.replace(first, seed=as_integer("seed", target), label=label, category=None, codes=None)
        path = self.downloads.path(f"{element_id(self.name)}-{first.name}-to-{last.name}.gif")
        return str(self.tool.write_walk(path, first, last, as_integer("frames", frames)))

    @staticmethod
    def choose_seed() -> int:
        """A random seed that is easy to note down."""
        return secrets.randbelow(100_000)

    @explain_errors
    def read_codes(self, seed: Any) -> Any:
        """The category and the continuous codes of a seed."""
        category, numbers = self.tool.codes_of(as_integer("seed", seed))
        return [category, *numbers]
