// The engine in its worker, as calls that answer.

export class Engine {
  constructor() {
    this.waiting = new Map();
    this.next = 0;
    this.isReady = false;
    this.onProgress = () => {};
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => {
      if (data.progress) return this.onProgress(data.progress);
      const { resolve, reject } = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.error === undefined) resolve(data.value);
      else reject(new Error(data.error));
    };
    this.worker.onerror = (event) => {
      const reason = `The engine cannot run here: ${event.message || "engine/ is missing in this folder; build it with web/build.sh"}`;
      for (const { reject } of this.waiting.values()) reject(new Error(reason));
      this.waiting.clear();
    };
  }

  /** Calls a function of the worker. */
  call(call, args) {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, call, args });
    });
  }

  async start() {
    const version = await this.call("version");
    this.isReady = true;
    return version;
  }
}
