// Runs the engine beside the page, so that the page stays responsive. Messages are {id, call, args}; answers
// {id, value} or {id, error}. While training, {progress} is sent after every group of steps.

import init, * as engine from "./engine/gridlight_web.js";

let training = null;
let turn = 0;
let stopped = "";

// The engine tells of a panic through the console before it traps.
const complain = console.error;
console.error = (...words) => {
  stopped = words.join(" ");
  complain(...words);
};

const ready = init({ module_or_path: new URL("./engine/gridlight_web_bg.wasm", import.meta.url) });

// A step is awaited, and nothing else may use the engine meanwhile.
let tail = Promise.resolve();
function alone(work) {
  const result = tail.then(work);
  tail = result.catch(() => {});
  return result;
}

/** Milliseconds of a group of steps, after which the page hears of it. */
const GROUP = 120;

const calls = {
  version: () => engine.version(),

  putFile: ({ name, bytes }) => engine.put_file(name, bytes),

  clearFiles: () => engine.clear_files(),

  filesOf: ({ toml, overrides }) => JSON.parse(engine.files_of(toml, overrides ?? [])),

  starter: ({ file, target }) => engine.starter(file, target),

  columns: ({ file }) => JSON.parse(engine.columns(file)),

  async open({ toml, overrides, onGpu, maxSteps, weights }) {
    if (training) {
      training.free();
      training = null;
    }
    training = await engine.Training.open(toml, overrides ?? [], onGpu, maxSteps);
    if (weights) await training.start_from(weights);
    return JSON.parse(training.about());
  },

  /** Trains until the end, or until `pause`; progress is sent with the page's `turn`. */
  async run({ turn: of }) {
    const mine = ++turn;
    let count = 1;
    let status = JSON.parse(training.status());
    while (turn === mine && !status.ended) {
      const began = performance.now();
      const losses = await alone(() => training.step(count));
      const took = performance.now() - began;
      const epochs = status.history.length;
      status = JSON.parse(training.status());
      // A group that ended an epoch was validated too, which says little of the steps.
      if (status.history.length === epochs) {
        count = Math.max(1, Math.min(4 * count, Math.round((count * GROUP) / Math.max(took, 1))));
      }
      postMessage({ progress: { turn: of, status, losses, seconds: took / 1000 } });
      // Messages of the page are heard here.
      await new Promise((resolve) => setTimeout(resolve));
    }
    return status;
  },

  pause() {
    turn += 1;
  },

  /** A fixed number of steps at a time, for tests: the same bits as any other. */
  async steps({ count }) {
    const losses = [];
    while (losses.length < count) {
      const some = await training.step(count - losses.length);
      if (some.length === 0) break;
      losses.push(...some);
    }
    return { losses, status: JSON.parse(training.status()) };
  },

  status: () => JSON.parse(training.status()),
  weights: () => training.weights(),
  onnx: () => training.onnx(),
  onnxRefused: () => training.onnx_refused(),
  predict: ({ rows }) => training.predict(new TextEncoder().encode(rows)),
  examples: ({ count }) => JSON.parse(training.examples(count)),
  pictures: ({ count, seed }) => training.pictures(count, seed),
  text: ({ length, temperature, prompt, seed }) => training.text(length, temperature, prompt, seed),
  sections: () => training.sections(),
  style: () => engine.style(),
};

onmessage = async ({ data: { id, call, args } }) => {
  try {
    await ready;
    if (call === "open") calls.pause();
    const work = () => calls[call](args ?? {});
    postMessage({ id, value: await (["run", "pause"].includes(call) ? work() : alone(work)) });
  } catch (error) {
    const text = stopped || (error instanceof Error ? error.message : String(error));
    postMessage({ id, error: text });
  }
};
