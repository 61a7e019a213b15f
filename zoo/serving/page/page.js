// The controls of a generator that runs in the browser: model.onnx, described by model.json.
import { drawLatent, interpolateLatents, moveLatent, setCategory } from "./latent.js";

const WALK_FRAMES = 60;
const LARGEST_SEED = 2 ** 32;
const element = (id) => document.getElementById(id);

/** The content of a file, once its hash is the expected one. */
async function load(url, integrity) {
  const response = await fetch(url, integrity ? { integrity } : {});
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

/** ONNX Runtime with its WebAssembly, which must be given as bytes: it would look for the file next to the script. */
async function loadRuntime(runtime) {
  const [script, binary] = await Promise.all([load(runtime.script, runtime.script_integrity), load(runtime.wasm, runtime.wasm_integrity)]);
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const ort = await import(address);
  URL.revokeObjectURL(address);
  ort.env.wasm.wasmBinary = binary;
  ort.env.wasm.numThreads = 1; // more need headers of the server
  ort.env.logLevel = "error";
  return ort;
}

/** One image at a time: while one is computed, only the latest request waits. */
class Painter {
  constructor(ort, session, model) {
    Object.assign(this, { ort, session, model, waiting: null, running: null });
  }

  /** Shows the image of a latent vector. */
  paint(latent, label) {
    this.waiting = { latent, label };
    this.running ??= this.run().finally(() => (this.running = null));
    return this.running;
  }

  async run() {
    while (this.waiting) {
      const { latent, label } = this.waiting;
      this.waiting = null;
      const inputs = { latent: new this.ort.Tensor("float32", latent, [1, latent.length]) };
      if (this.model.classes.length) inputs.label = new this.ort.Tensor("int64", BigInt64Array.of(BigInt(label)), [1]);
      const outputs = await this.session.run(inputs);
      this.show(outputs.image.data);
    }
  }

  show(values) {
    const [height, width, channels] = this.model.image_shape;
    const pixels = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = Math.round(255 * values[channels * i + (channels < 3 ? 0 : c)]);
      pixels.data[4 * i + 3] = channels === 4 ? Math.round(255 * values[4 * i + 3]) : 255;
    }
    const canvas = element("canvas");
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    canvas.dataset.painted = Number(canvas.dataset.painted ?? 0) + 1;
  }
}

class Page {
  constructor(model, painter) {
    Object.assign(this, { model, painter, walking: false });
  }

  build() {
    const { classes, directions, prior, truncation } = this.model;
    classes.forEach((name, i) => element("class").add(new Option(name === String(i) ? name : `${i}: ${name}`, i)));
    element("class-control").hidden = !classes.length;
    element("truncation-control").hidden = !truncation;
    if (prior.category.length) this.addCategory(prior.category.length);
    directions.forEach(({ name }) => element("directions").append(...this.createSlider(name)));
    element("directions").hidden = !directions.length;
    element("controls").addEventListener("input", (event) => this.refresh(event));
    element("another").addEventListener("click", () => this.chooseSeed());
    element("walk").addEventListener("click", () => this.toggleWalk());
    element("save").addEventListener("click", () => this.save());
    element("content").hidden = false;
    return this.draw();
  }

  addCategory(count) {
    const label = Object.assign(document.createElement("label"), { htmlFor: "category", textContent: "Category of the code" });
    const select = Object.assign(document.createElement("select"), { id: "category" });
    select.add(new Option("of the seed", ""));
    for (let i = 0; i < count; i++) select.add(new Option(i, i));
    element("category-controls").append(label, select);
  }

  createSlider(name) {
    const label = Object.assign(document.createElement("label"), { htmlFor: name, textContent: `${name} ` });
    label.append(document.createElement("output"));
    const slider = Object.assign(document.createElement("input"), { id: name, type: "range", min: -4, max: 4, step: 0.1 });
    slider.value = 0;
    return [label, slider];
  }

  readSeed(id) {
    const seed = Number(element(id).value);
    if (element(id).value === "" || !Number.isInteger(seed) || seed < 0 || seed >= LARGEST_SEED) {
      throw new RangeError(`Seed: give an integer from 0 to ${LARGEST_SEED - 1}.`);
    }
    return seed;
  }

  readLatent(seedId) {
    const { prior, directions } = this.model;
    const latent = drawLatent(prior, this.readSeed(seedId), Number(element("truncation").value));
    const category = element("category")?.value;
    if (category) setCategory(prior, latent, Number(category));
    return moveLatent(prior, latent, directions, directions.map(({ name }) => Number(element(name).value)));
  }

  refresh({ target }) {
    if (target.id === "target") return;
    if (target.type === "range") target.previousElementSibling.querySelector("output").value = target.value;
    this.walking = false;
    this.draw();
  }

  draw() {
    return report(() => this.painter.paint(this.readLatent("seed"), Number(element("class").value)));
  }

  chooseSeed() {
    element("seed").value = Math.floor(Math.random() * 100000);
    this.walking = false;
    this.draw();
  }

  toggleWalk() {
    this.walking = !this.walking;
    element("walk").textContent = this.walking ? "Stop" : "Walk";
    if (this.walking) report(() => this.walk());
  }

  /** Walks to the other sample and back until it is stopped. */
  async walk() {
    try {
      const [start, end] = [this.readLatent("seed"), this.readLatent("target")];
      for (let frame = 0; this.walking; frame = (frame + 1) % (2 * WALK_FRAMES)) {
        const progress = 1 - Math.abs(1 - frame / WALK_FRAMES);
        await this.painter.paint(interpolateLatents(this.model.prior, start, end, progress), Number(element("class").value));
        await new Promise(requestAnimationFrame);
      }
    } finally {
      this.walking = false;
      element("walk").textContent = "Walk";
    }
  }

  save() {
    const label = this.model.classes.length ? `-label${element("class").value}` : "";
    const link = Object.assign(document.createElement("a"), { download: `seed${element("seed").value}${label}.png` });
    link.href = element("canvas").toDataURL("image/png");
    link.click();
  }
}

function showStatus(text, kind = "") {
  Object.assign(element("status"), { textContent: text, className: kind });
}

function showError(error) {
  showStatus(error.message, "error");
}

/** Runs a function, instead of the error of an earlier one; its own error is shown on the page. */
async function report(action) {
  showStatus("");
  try {
    await action();
  } catch (error) {
    showError(error);
  }
}

async function start() {
  if (location.protocol === "file:") throw new Error("Browsers load models from web servers only: put this folder on one, or try it by python3 -m http.server.");
  const model = JSON.parse(new TextDecoder().decode(await load("model.json")));
  document.title = element("title").textContent = model.title;
  element("summary").textContent = model.summary;
  const [ort, content] = await Promise.all([loadRuntime(model.runtime), load("model.onnx")]);
  const session = await ort.InferenceSession.create(new Uint8Array(content), { executionProviders: ["wasm"] });
  await new Page(model, new Painter(ort, session, model)).build();
}

start().catch(showError);
