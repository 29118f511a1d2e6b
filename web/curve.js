// The loss by step: of training, smoothed, and of each validation.

/** Points of the smoothed curve; more are thinned out. */
const MOST = 1200;

export class Curve {
  constructor(canvas) {
    this.canvas = canvas;
    this.clear();
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  clear() {
    [this.points, this.validation, this.mean, this.stride, this.since] = [[], [], null, 1, 0];
    this.draw();
  }

  add(status, losses) {
    let step = status.step - losses.length;
    for (const loss of losses) {
      step += 1;
      this.mean = this.mean === null ? loss : 0.9 * this.mean + 0.1 * loss;
      if (++this.since >= this.stride) {
        this.since = 0;
        this.points.push([step, this.mean]);
      }
    }
    if (this.points.length > MOST) {
      this.points = this.points.filter((_, i) => i % 2 === 1);
      this.stride *= 2;
    }
    this.validation = status.history.map((row) => [row.step, row.validation.loss]);
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (width === 0) return;
    const ratio = devicePixelRatio || 1;
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    pen.font = "12px system-ui, sans-serif";
    const all = [...this.points, ...this.validation].filter(([, y]) => Number.isFinite(y));
    if (all.length === 0) {
      pen.fillStyle = colour("--soft");
      pen.fillText("The curve appears here when training starts.", 8, height / 2);
      return;
    }
    const area = { left: 46, right: width - 8, top: 8, bottom: height - 22 };
    const values = all.map(([, y]) => y);
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (high === low) [low, high] = [low - 0.5, high + 0.5];
    const last = Math.max(1, ...all.map(([x]) => x));
    const logarithmic = low > 0 && high / low > 20;
    const f = logarithmic ? Math.log : (v) => v;
    const x = (step) => area.left + ((area.right - area.left) * step) / last;
    const y = (value) => area.bottom - ((area.bottom - area.top) * (f(value) - f(low))) / (f(high) - f(low));
    pen.strokeStyle = colour("--line");
    pen.fillStyle = colour("--soft");
    pen.lineWidth = 1;
    for (let i = 0; i <= 4; i++) {
      const value = logarithmic ? low * (high / low) ** (i / 4) : low + ((high - low) * i) / 4;
      const at = Math.round(y(value)) + 0.5;
      pen.beginPath();
      pen.moveTo(area.left, at);
      pen.lineTo(area.right, at);
      pen.stroke();
      pen.textAlign = "right";
      pen.fillText(Number(value.toPrecision(3)).toString(), area.left - 6, at + 4);
    }
    pen.textAlign = "left";
    pen.fillText("0", area.left, height - 6);
    pen.textAlign = "right";
    pen.fillText(`step ${last}`, area.right, height - 6);
    const line = (points, name) => {
      pen.strokeStyle = colour(name);
      pen.lineWidth = 2;
      pen.lineJoin = "round";
      pen.beginPath();
      points.forEach(([step, value], i) => (i ? pen.lineTo(x(step), y(value)) : pen.moveTo(x(step), y(value))));
      pen.stroke();
    };
    line(this.points, "--accent");
    line(this.validation, "--second");
    pen.fillStyle = colour("--second");
    if (this.validation.length <= 60) {
      for (const [step, value] of this.validation) {
        pen.beginPath();
        pen.arc(x(step), y(value), 3, 0, 7);
        pen.fill();
      }
    }
  }
}
