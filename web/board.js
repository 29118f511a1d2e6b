// A board to draw on. The strokes become pixels as scanned digits do: fitted into the square, drawn with an even pen
// on a grid four times as fine, of which each pixel counts the dots.

/** Dots of a pixel along each side. */
const FINE = 4;

export class Board {
  constructor(canvas, onChange) {
    [this.canvas, this.onChange] = [canvas, onChange];
    [this.rows, this.columns] = [8, 8];
    [canvas.width, canvas.height] = [448, 448];
    this.cursor = { x: 0.5, y: 0.3, down: false };
    this.strokes = [];
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.strokes.push([this.place(event)]);
      this.draw();
    };
    canvas.onpointermove = (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      this.strokes.at(-1).push(this.place(event));
      this.draw();
    };
    canvas.onpointerup = () => onChange();
    canvas.onkeydown = (event) => this.key(event);
    canvas.onfocus = canvas.onblur = () => this.draw();
    this.draw();
  }

  get isEmpty() {
    return this.strokes.length === 0;
  }

  size(rows, columns) {
    [this.rows, this.columns] = [rows, columns];
  }

  clear() {
    this.strokes = [];
    this.cursor.down = false;
    this.draw();
    this.onChange();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  key(event) {
    const { cursor } = this;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === " ") {
      cursor.down = !cursor.down;
      if (cursor.down) this.strokes.push([[cursor.x, cursor.y]]);
      else this.onChange();
    } else if (moves[event.key]) {
      const [x, y] = moves[event.key];
      cursor.x = Math.min(0.95, Math.max(0.05, cursor.x + x / 20));
      cursor.y = Math.min(0.95, Math.max(0.05, cursor.y + y / 20));
      if (cursor.down) this.strokes.at(-1).push([cursor.x, cursor.y]);
    } else {
      return;
    }
    event.preventDefault();
    this.draw();
  }

  draw() {
    const { canvas, cursor } = this;
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    trace(pen, this.strokes, ([x, y]) => [x * canvas.width, y * canvas.height], 0.09 * canvas.width);
    if (document.activeElement === canvas) {
      pen.strokeStyle = cursor.down ? "#f80" : "#888";
      pen.lineWidth = 3;
      pen.strokeRect(cursor.x * canvas.width - 8, cursor.y * canvas.height - 8, 16, 16);
    }
  }

  /** The pixels, row by row, from 0 to `most`. */
  pixels(most) {
    const [width, height] = [FINE * this.columns, FINE * this.rows];
    const points = this.strokes.flat();
    const range = (axis) => [Math.min(...points.map((p) => p[axis])), Math.max(...points.map((p) => p[axis]))];
    const [[left, right], [top, bottom]] = [range(0), range(1)];
    const stroke = 0.11 * height;
    const scale = (Math.min(width, height) - stroke) / Math.max(right - left, bottom - top, 0.05);
    const [middleX, middleY] = [(left + right) / 2, (top + bottom) / 2];
    const canvas = new OffscreenCanvas(width, height);
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, width, height);
    trace(pen, this.strokes, ([x, y]) => [width / 2 + (x - middleX) * scale, height / 2 + (y - middleY) * scale], stroke);
    const { data } = pen.getImageData(0, 0, width, height);
    const pixels = [];
    for (let row = 0; row < this.rows; row++) {
      for (let column = 0; column < this.columns; column++) {
        let dots = 0;
        for (let i = 0; i < FINE * FINE; i++) {
          const [x, y] = [FINE * column + (i % FINE), FINE * row + Math.floor(i / FINE)];
          dots += data[4 * (y * width + x)] > 127 ? 1 : 0;
        }
        pixels.push(Math.round((most * dots) / (FINE * FINE)));
      }
    }
    return pixels;
  }
}

function trace(pen, strokes, to, width) {
  pen.strokeStyle = pen.fillStyle = "#fff";
  [pen.lineWidth, pen.lineCap, pen.lineJoin] = [width, "round", "round"];
  for (const stroke of strokes) {
    pen.beginPath();
    stroke.map(to).forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    if (stroke.length === 1) pen.lineTo(...to(stroke[0]).map((v) => v + 0.01));
    pen.stroke();
  }
}
