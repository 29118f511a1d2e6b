// The page: chooses an experiment, shows its training, and asks the trained model. The engine runs in worker.js.

import { Engine } from "./engine.js";
import { Curve } from "./curve.js";
import { Board } from "./board.js";
import { chosen, dropped, fetched, isAmong, sourceOf } from "./given.js";
import { showBars, showForm, showReport, showTiles } from "./shown.js";
import { cells, csvOf, download, figure } from "./small.js";

const at = (id) => document.getElementById(id);
const engine = new Engine();
const curve = new Curve(at("curve"));
const board = new Board(at("board"), () => guess());

const state = {
  examples: [],
  chosen: null,
  // Files of the experiment, by name, as the visitor or the page gave them.
  files: new Map(),
  onGpu: false,
  gpu: "",
  // Counts what was chosen: answers about what was chosen before are dropped.
  turn: 0,
  about: null,
  status: null,
  running: false,
  // When what the model shows was last computed, and how long that took, in milliseconds.
  shown: { at: 0, took: 0, epoch: -1 },
};

const say = (text) => {
  at("message").textContent = text;
  at("message").hidden = !text;
  if (text) at("message").scrollIntoView({ block: "nearest" });
};

/** Runs something of the engine, and says what goes wrong. */
async function attempt(work) {
  try {
    say("");
    return await work();
  } catch (error) {
    say(error.message);
    return undefined;
  }
}

// What to train.

function listExamples() {
  const place = at("examples");
  place.replaceChildren(
    ...state.examples.map((example) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(example === state.chosen));
      const title = document.createElement("b");
      title.textContent = example.title;
      const about = document.createElement("span");
      about.textContent = example.about;
      button.append(title, about);
      button.onclick = () => attempt(() => choose(example));
      return button;
    }),
  );
}

async function choose(example) {
  state.chosen = example;
  at("choose").hidden = true;
  listExamples();
  const files = await fetched([...example.files, ...(example.weights ? [example.weights] : [])]);
  if (state.chosen !== example) return;
  state.files = new Map(files);
  at("toml").value = example.toml;
  await forget();
  if (example.weights) {
    // The model is trained already: it answers at once.
    if (!(await prepare())) return;
    state.status = await engine.call("status");
    await show(true);
  }
}

/** Takes files that the visitor gave: tables, texts, folders of pictures, and perhaps an experiment. */
async function take(given) {
  if (given.length === 0) return;
  const experiment = given.find(([name]) => name.endsWith(".toml"));
  const data = given.filter(([name]) => !name.endsWith(".toml"));
  const file = experiment ? null : sourceOf(data.map(([name]) => name));
  if (data.length > 0) state.files = new Map(experiment ? [...state.files, ...data] : data);
  state.chosen = null;
  listExamples();
  at("choose").hidden = true;
  if (experiment) {
    at("toml").value = new TextDecoder().decode(experiment[1]);
  } else {
    await give();
    at("toml").value = await engine.call("starter", { file });
    if (state.files.has(file) && !/\.(txt|md)$/i.test(file)) await offerTargets(file);
  }
  await forget();
}

async function offerTargets(file) {
  const columns = await engine.call("columns", { file });
  const options = columns.map(({ name }) => new Option(name, name));
  at("target").replaceChildren(...options);
  at("target").selectedIndex = options.length - 1;
  at("target").onchange = () =>
    attempt(async () => {
      at("toml").value = await engine.call("starter", { file, target: at("target").value });
      await forget();
    });
  at("choose").hidden = false;
}

/** Gives the engine the files, and takes those from it that it had before. */
async function give() {
  await engine.call("clearFiles");
  for (const [name, bytes] of state.files) await engine.call("putFile", { name, bytes });
}

/** Puts everything back to before a training. */
async function forget() {
  state.turn += 1;
  if (state.running) await pause();
  state.running = false;
  state.about = null;
  state.status = null;
  state.darkest = null;
  [state.rate, state.epochs] = [0, 0];
  state.shown = { at: 0, took: 0, epoch: -1 };
  curve.clear();
  for (const id of ["try", "inside", "take"]) at(id).hidden = true;
  for (const id of ["drawing", "writing", "dreaming", "asking", "answer"]) at(id).hidden = true;
  at("tiles").replaceChildren();
  at("progress").value = 0;
  at("about").textContent = "";
  buttons();
}

function buttons() {
  const ended = state.status?.ended ?? false;
  const prepares = state.running && !state.about;
  at("train").disabled = state.files.size === 0 || ended || prepares || !engine.isReady;
  at("train").textContent = state.running ? "Pause" : state.about ? (ended ? "Done" : "Go on") : "Train";
  at("restart").disabled = !state.about;
}

// Training.

/** Opens the experiment in the engine; tells whether it is still the one that is wanted. */
async function prepare() {
  const { turn } = state;
  const toml = at("toml").value;
  const wanted = Object.keys(await engine.call("filesOf", { toml }));
  const missing = wanted.filter((name) => !isAmong([...state.files.keys()], name));
  if (missing.length > 0) {
    throw new Error(`The experiment reads ${missing.join(", ")}; choose or drop ${missing.length > 1 ? "these files" : "this file"} too.`);
  }
  await give();
  at("about").textContent = "Compiling …";
  const open = engine.call("open", { toml, onGpu: state.onGpu, weights: state.chosen?.weights });
  const about = await open.catch((error) => {
    if (turn === state.turn) at("about").textContent = "";
    throw error;
  });
  if (turn !== state.turn) return false;
  state.about = about;
  const rows = about.rows.map((n) => n.toLocaleString("en"));
  at("about").textContent =
    `${about.parameters.toLocaleString("en")} parameters on the ${state.onGpu ? `GPU (${state.gpu})` : "processor"}; ` +
    `${rows[0]} rows train, ${rows[1]} validate; ${about.kernels_per_step} kernels a step.` +
    about.notes.map((note) => ` Note: ${note}.`).join("");
  buttons();
  return true;
}

async function train() {
  if (state.running) return pause();
  const { turn } = state;
  state.running = true;
  try {
    buttons();
    if (!state.about && !(await prepare())) return;
    const status = await engine.call("run", { turn });
    if (turn !== state.turn) return;
    state.status = status;
  } catch (error) {
    if (turn === state.turn) throw error;
    return;
  } finally {
    if (turn === state.turn) state.running = false;
    buttons();
  }
  await show(true);
}

async function pause() {
  await engine.call("pause");
}

engine.onProgress = ({ turn, status, losses, seconds }) => {
  if (turn !== state.turn) return;
  state.status = status;
  curve.add(status, losses);
  const { history, best, step, steps } = status;
  at("progress").value = step / Math.max(steps, 1);
  const last = history.at(-1);
  // The last steps of an epoch take its validation along.
  if (history.length === state.epochs) state.rate = losses.length / Math.max(seconds, 1e-6);
  state.epochs = history.length;
  const tiles = [["step", `${step} / ${steps}`]];
  if (state.rate > 0) tiles.push(["steps/s", figure(state.rate)]);
  if (losses.length > 0) tiles.push(["loss", figure(losses.reduce((a, b) => a + b) / losses.length)]);
  for (const [name, value] of Object.entries(last?.validation ?? {})) tiles.push([`validation ${name}`, figure(value)]);
  if (best?.epoch) tiles.push(["best epoch", `${best.epoch} of ${history.length}`]);
  showTiles(at("tiles"), tiles);
  if (best && best.epoch !== state.shown.epoch) show(false);
};

// What the model does.

/** Shows what the best model does; while training, only as often as takes little of the time. */
async function show(now) {
  const epoch = state.status?.best?.epoch;
  if (epoch === undefined || state.shown.busy) return;
  const { shown, turn } = state;
  if (!now && performance.now() - shown.at < 10 * shown.took + 1000) return;
  if (epoch === shown.epoch && now && !at("inside").hidden) return;
  shown.busy = true;
  const began = performance.now();
  try {
    await offer(turn);
    await tryOut();
    await inside(turn);
    shown.epoch = epoch;
  } catch (error) {
    if (turn === state.turn) say(error.message);
  } finally {
    shown.busy = false;
    shown.at = performance.now();
    shown.took = shown.at - began;
  }
}

/** Offers what can be taken along; what the model has no form in is told with the reason. */
async function offer(turn) {
  if (!at("take").hidden) return;
  const reason = await engine.call("onnxRefused");
  if (turn !== state.turn) return;
  at("onnx").hidden = Boolean(reason);
  at("refused").textContent = reason ? `There is no model.onnx. ${reason}` : "";
  at("refused").hidden = !reason;
  at("take").hidden = false;
}

async function inside(turn) {
  const [html, style] = [await engine.call("sections"), await engine.call("style")];
  if (turn !== state.turn) return;
  showReport(at("report"), html, style);
  at("inside").hidden = false;
}

async function tryOut() {
  const { about } = state;
  at("try").hidden = about.kind === "series";
  if (about.kind === "images") {
    const { shape, columns } = about.image;
    if (shape[0] !== 1 || columns.length !== shape[1] * shape[2]) {
      at("try").hidden = true;
      return;
    }
    at("drawing").hidden = false;
    board.size(shape[1], shape[2]);
    if (!board.isEmpty) await guess();
  } else if (about.kind === "text") {
    at("writing").hidden = false;
    await write(200);
  } else if (about.kind === "vae" || about.kind === "gan") {
    at("try").hidden = !about.image;
    at("dreaming").hidden = false;
    if (about.image) await dream();
  } else if (about.kind === "table") {
    await ask();
  }
}

/** The largest pixel of rows that trained: what black on white is. */
async function darkest() {
  const { columns } = state.about.image;
  const [header, ...rows] = await engine.call("examples", { count: 400 });
  const pixels = columns.map((name) => header.indexOf(name));
  return Math.max(1, ...rows.flatMap((row) => pixels.map((i) => Number(row[i])).filter(Number.isFinite)));
}

async function guess() {
  const { about } = state;
  if (!about || board.isEmpty || !state.status?.best) {
    at("guess").replaceChildren();
    return;
  }
  state.darkest ??= await darkest();
  const pixels = board.pixels(state.darkest);
  const answer = await attempt(() => engine.call("predict", { rows: csvOf([about.image.columns, pixels]) }));
  if (answer === undefined) return;
  const [titles, values] = cells(new TextEncoder().encode(answer));
  const parts = titles.map((title, i) => [title, values[i]]).filter(([title]) => title.startsWith("probability"));
  showBars(at("guess"), parts.map(([title, value]) => [title.replace(/^probability[ _]*/, ""), Number(value)]));
}

async function write(length) {
  const args = { length, temperature: Number(at("warmth").value), prompt: at("prompt").value, seed: Math.floor(Math.random() * 2 ** 31) };
  at("written").textContent = await engine.call("text", args);
}

async function dream() {
  const png = await engine.call("pictures", { count: 64, seed: Math.floor(Math.random() * 2 ** 31) });
  URL.revokeObjectURL(at("samples").src);
  at("samples").src = URL.createObjectURL(new Blob([png], { type: "image/png" }));
}

/** A form with the columns of the table, filled with one of its rows. */
async function ask() {
  const form = at("asking");
  if (!form.hidden) return;
  const [header, ...rows] = await engine.call("examples", { count: 100 });
  const row = rows[Math.floor(Math.random() * rows.length)] ?? [];
  const fields = header.map((title, i) => [title, row[i] ?? ""]);
  showForm(form, fields, (rows) =>
    attempt(async () => {
      const [titles, values] = cells(new TextEncoder().encode(await engine.call("predict", { rows: csvOf(rows) })));
      at("answer").textContent = titles.map((title, i) => `${title}: ${figure(values[i])}`).join(", ");
      at("answer").hidden = false;
    }),
  );
  form.hidden = false;
}

// Events.

at("train").onclick = () => attempt(train);
at("restart").onclick = () => attempt(async () => {
  await forget();
  await train();
});
at("clear").onclick = () => board.clear();
at("write").onclick = () => attempt(() => write(500));
at("dream").onclick = () => attempt(dream);
for (const id of ["file", "folder"]) {
  at(id).onchange = ({ target }) => attempt(async () => {
    const given = await chosen(target.files);
    // The same choice again is a change too.
    target.value = "";
    await take(given);
  });
}
at("toml").oninput = () => {
  state.chosen = null;
  listExamples();
  if (!state.running) forget();
};
at("safetensors").onclick = () => attempt(async () => download("best.safetensors", await engine.call("weights")));
at("onnx").onclick = () => attempt(async () => download("model.onnx", await engine.call("onnx")));
at("saveToml").onclick = () => download("experiment.toml", new TextEncoder().encode(at("toml").value));
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") attempt(async () => take(await dropped(event.dataTransfer)));
  });
}

// The beginning.

async function begin() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  const { info } = adapter ?? {};
  state.gpu = [info?.vendor, info?.architecture, info?.description].filter(Boolean).join(" ") || "unnamed";
  // A GPU in software takes 20 to 200 times as long as this engine on the processor.
  const software = info?.isFallbackAdapter ?? false;
  state.onGpu = Boolean(adapter) && !software;
  at("device").textContent = state.onGpu
    ? `GPU: ${state.gpu}`
    : software
      ? `The only GPU here is made of software (${state.gpu}): training runs on the processor, which is faster.`
    : navigator.gpu
      ? "WebGPU is there, but this browser offers no GPU: training runs on the processor, slower."
      : "This browser has no WebGPU: training runs on the processor, slower. Chrome, Edge, Safari 26 and Firefox 141 (Windows) have it."
        + (isSecureContext ? "" : " Browsers give it to https and localhost alone; this page came another way.");
  const answer = await fetch(new URL("experiments.json", import.meta.url));
  if (!answer.ok) throw new Error(`experiments.json is not in this folder (${answer.status})`);
  state.examples = await answer.json();
  const version = await engine.start();
  at("footer").textContent = `Gridlight ${version}. Nothing is sent anywhere: data, training and model stay in this page.`;
  await choose(state.examples[0]);
}

attempt(begin);
// For tests of the page.
globalThis.gridlight = { engine, state };
