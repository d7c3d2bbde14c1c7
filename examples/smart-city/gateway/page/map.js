// The map: devices at their positions, or on the grid of places. Devices that would overlap are drawn as one circle with their number.
import { byId, colour, FLAGS, flags, number, STATES, stateText } from "./text.js";

/** In pixels: devices within a square of this size are drawn as one. */
const CELL = 40;
const SIZE = 6;
const MARGIN = 36;
/** Up to so many signs have names beside them. */
const NAMED = 70;
const KM_PER_DEGREE = 111.32;
const COLOURS = { none: "--none", affirming: "--good", warning: "--warn", contraindicated: "--bad" };

export class CityMap {
  /** `choose` is told which device is chosen. */
  constructor(choose) {
    this.choose = choose;
    this.devices = [];
    this.chosen = null;
    this.kind = null;
    this.canvas = byId("map");
    this.context = this.canvas.getContext("2d");
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    byId("zoom-in").addEventListener("click", () => this.zoom(1.6));
    byId("zoom-out").addEventListener("click", () => this.zoom(1 / 1.6));
    byId("zoom-all").addEventListener("click", () => this.showAll());
    byId("kinds").addEventListener("change", event => this.take(event.target.value));
    this.canvas.addEventListener("wheel", event => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
    }, { passive: false });
    this.canvas.addEventListener("keydown", event => this.key(event));
    this.canvas.addEventListener("pointerdown", event => this.press(event));
    this.canvas.addEventListener("pointermove", event => this.point(event));
    this.canvas.addEventListener("pointerleave", () => { byId("tip").hidden = true });
  }

  /** `all` are the devices that there are, and `devices` those to be drawn. */
  show(all, devices, chosen) {
    this.all = all;
    this.devices = devices;
    const isNew = chosen !== this.chosen;
    this.chosen = chosen;
    const hasPositions = all.some(device => device.position);
    byId("kinds").hidden = !hasPositions;
    const kind = hasPositions ? this.wanted ?? "position" : "place";
    if (kind !== this.kind) this.take(kind, true);
    const [point] = isNew ? this.placed(devices.filter(device => device.id === chosen)) : [];
    if (point && (point.x < 0 || point.y < 0 || point.x > this.width || point.y > this.height)) this.move(this.width / 2 - point.x, this.height / 2 - point.y);
    this.draw();
  }

  /** Draws by positions or by places. */
  take(kind, isDefault = false) {
    if (!isDefault) this.wanted = kind;
    this.kind = kind;
    for (const input of byId("kinds").querySelectorAll("input")) input.checked = input.value === kind;
    const latitudes = this.all.filter(device => device.position).map(device => device.position[1]);
    const middle = latitudes.reduce((sum, latitude) => sum + latitude, 0) / (latitudes.length || 1);
    // So that a kilometre is as long to the east as to the north.
    this.narrowing = kind === "position" ? Math.max(Math.cos(middle * Math.PI / 180), 0.01) : 1;
    const without = kind === "position" ? this.all.length - latitudes.length : 0;
    byId("unplaced").textContent = without ? `${number.format(without)} devices have no position: they are in the list.` : "";
    this.showAll();
  }

  /** Where a device is, in units of the world. */
  world(device) {
    if (this.kind === "place") return device.place;
    return device.position && [device.position[0] * this.narrowing, -device.position[1]];
  }

  /** Devices with the place where they are drawn, as far as they have one. */
  placed(devices) {
    const placed = [];
    for (const device of devices) {
      const at = this.world(device);
      if (at) placed.push({ device, at, x: at[0] * this.scale + this.left, y: at[1] * this.scale + this.top });
    }
    return placed;
  }

  fit(devices) {
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const device of devices) {
      const at = this.world(device);
      if (!at) continue;
      [x0, x1, y0, y1] = [Math.min(x0, at[0]), Math.max(x1, at[0]), Math.min(y0, at[1]), Math.max(y1, at[1])];
    }
    if (x0 > x1) return;
    const [width, height] = [this.width - 2 * MARGIN, this.height - 2 * MARGIN];
    const least = this.kind === "place" ? 2 : 0.002;
    this.scale = Math.min(width / Math.max(x1 - x0, least), height / Math.max(y1 - y0, least));
    this.left = this.width / 2 - (x0 + x1) / 2 * this.scale;
    this.top = this.height / 2 - (y0 + y1) / 2 * this.scale;
  }

  showAll() {
    this.isMoved = false;
    this.draw();
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const most = this.kind === "place" ? 300 : 3e7;
    const scale = Math.min(Math.max(this.scale * factor, 0.5), most);
    this.left = x - (x - this.left) * scale / this.scale;
    this.top = y - (y - this.top) * scale / this.scale;
    this.scale = scale;
    this.isMoved = true;
    this.draw();
  }

  move(x, y) {
    this.left += x;
    this.top += y;
    this.isMoved = true;
    this.draw();
  }

  key(event) {
    const step = 60;
    const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (event.key in moves) this.move(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.6);
    else if (event.key === "-") this.zoom(1 / 1.6);
    else return;
    event.preventDefault();
  }

  press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    let moved = 0;
    const move = event => {
      moved += Math.abs(event.movementX) + Math.abs(event.movementY);
      if (moved > 4) this.move(event.movementX, event.movementY);
    };
    const end = event => {
      this.canvas.removeEventListener("pointermove", move);
      if (event.type === "pointerup" && moved <= 4) this.click(event);
    };
    this.canvas.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, end, { once: true });
  }

  /** The drawn circle or sign at a place. */
  at({ offsetX, offsetY }) {
    const near = this.drawn?.filter(({ x, y, radius }) => Math.hypot(x - offsetX, y - offsetY) <= radius + 5) ?? [];
    return near.pop();
  }

  click(event) {
    const group = this.at(event);
    if (!group) return;
    const devices = group.points.map(point => point.device);
    const [x, y] = group.points[0].at;
    const isOnePlace = group.points.every(point => point.at[0] === x && point.at[1] === y);
    if (isOnePlace) {
      // One after the other.
      const next = devices.findIndex(device => device.id === this.chosen) + 1;
      this.choose(devices[next % devices.length].id);
    } else {
      this.fit(devices);
      this.isMoved = true;
      this.draw();
    }
  }

  point(event) {
    const group = this.at(event);
    const tip = byId("tip");
    tip.hidden = !group;
    if (!group) return;
    const { device } = group.points[0];
    const also = flags(device).map(flag => `, ${FLAGS[flag][1]}`).join("");
    tip.textContent = group.points.length === 1 ? `${device.name}: ${STATES[device.state][1]}${also}` : groupText(group.points);
    tip.style.left = `${Math.min(group.x + 12, this.width - tip.offsetWidth - 4)}px`;
    tip.style.top = `${Math.max(group.y - 32, 2)}px`;
  }

  resize() {
    const ratio = devicePixelRatio;
    const { clientWidth, clientHeight } = this.canvas;
    if (clientWidth === 0) return;
    [this.width, this.height] = [clientWidth, clientHeight];
    [this.canvas.width, this.canvas.height] = [clientWidth * ratio, clientHeight * ratio];
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.draw();
  }

  /** Draws before the next frame is shown, once. */
  draw() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      if (this.width && this.kind) this.drawNow();
    });
  }

  drawNow() {
    if (!this.isMoved) this.fit(this.all);
    const { context } = this;
    context.clearRect(0, 0, this.width, this.height);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    if (!this.scale) return;
    this.drawLines();
    this.drawn = this.groups();
    const names = this.drawn.length <= NAMED;
    for (const group of this.drawn) {
      if (group.points.length === 1) this.drawDevice(group);
      else this.drawGroup(group);
    }
    // Texts are on top: those of the worst first, and others where there is room.
    const texts = [];
    for (const group of this.drawn.toReversed()) this.drawText(group, names, texts);
    this.canvas.ariaLabel = `Map. ${groupText(this.devices.map(device => ({ device })))}. Each is in the list, too.`;
  }

  /** Devices that are in sight, those near each other together; the worst last, on top. */
  groups() {
    const inSight = this.placed(this.devices).filter(({ x, y }) => x > -CELL && y > -CELL && x < this.width + CELL && y < this.height + CELL);
    const groups = new Map();
    for (const point of inSight) {
      // By places in the world, so that a group stays one when the map is moved.
      const key = point.at.map(part => Math.floor(part * this.scale / CELL)).join();
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(point);
    }
    const mean = (points, axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
    const made = Array.from(groups.values(), points => ({
      points,
      x: mean(points, "x"),
      y: mean(points, "y"),
      radius: points.length === 1 ? SIZE : Math.min(8 + 3 * Math.log10(points.length), CELL / 2 - 1),
      isolated: points.filter(point => point.device.isolated).length,
    }));
    return made.sort((a, b) => a.isolated - b.isolated);
  }

  drawGroup({ points, x, y, radius }) {
    const { context } = this;
    context.fillStyle = colour("--panel");
    circle(context, x, y, radius);
    context.fill();
    let angle = -Math.PI / 2;
    context.lineWidth = 4;
    for (const state of Object.keys(STATES)) {
      const share = points.filter(point => point.device.state === state).length / points.length;
      context.strokeStyle = colour(COLOURS[state]);
      context.beginPath();
      context.arc(x, y, radius - 1, angle, angle += share * 2 * Math.PI);
      if (share) context.stroke();
    }
    context.textAlign = "center";
    context.fillStyle = colour("--text");
    context.fillText(short(points.length), x, y + 0.5);
    if (points.some(point => point.device.id === this.chosen)) this.mark(x, y, radius + 4);
  }

  drawDevice({ points: [{ device }], x, y }) {
    const { context } = this;
    context.lineWidth = 2;
    context.strokeStyle = context.fillStyle = colour(COLOURS[device.state]);
    context.setLineDash(device.silent ? [3, 2] : []);
    shape(context, device.state, x, y);
    if (!device.silent && device.state !== "none") context.fill();
    context.stroke();
    context.setLineDash([]);
    if (device.isolated) {
      context.strokeStyle = colour("--bad");
      context.strokeRect(x - SIZE - 5, y - SIZE - 5, 2 * SIZE + 10, 2 * SIZE + 10);
    }
    if (device.id === this.chosen) this.mark(x, y, SIZE + (device.isolated ? 11 : 6));
  }

  /** How many of a group are isolated, or the name of a device that is alone. `texts` are those that are there. */
  drawText({ points, x, y, radius, isolated }, hasName, texts) {
    const [{ device }] = points;
    const isAlone = points.length === 1;
    const isWanted = isolated || (isAlone && device.id === this.chosen);
    if (!isWanted && !(isAlone && hasName)) return;
    const name = device.name.length > 14 ? `${device.name.slice(0, 13)}…` : device.name;
    const text = isAlone ? name : `▣ ${short(isolated)}`;
    const half = this.context.measureText(text).width / 2 + 2;
    const at = y + radius + (isAlone && isolated ? 13 : 9);
    if (!isWanted && texts.some(other => Math.abs(other.x - x) < other.half + half && Math.abs(other.at - at) < 12)) return;
    texts.push({ x, at, half });
    this.context.textAlign = "center";
    this.label(text, x, at, isolated ? "--bad" : "--text");
  }

  mark(x, y, radius) {
    const { context } = this;
    context.lineWidth = 2;
    context.strokeStyle = colour("--accent");
    circle(context, x, y, radius);
    context.stroke();
  }

  /** A text that is read on anything. */
  label(text, x, y, name) {
    const { context } = this;
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.strokeStyle = colour("--faint");
    context.strokeText(text, x, y);
    context.fillStyle = colour(name);
    context.fillText(text, x, y);
  }

  /** Meridians and parallels, or rows and columns of places. */
  drawLines() {
    const { context } = this;
    const isPlace = this.kind === "place";
    context.strokeStyle = colour("--line");
    context.lineWidth = 1;
    const lines = (perPixel, start, length, draw) => {
      const step = Math.max(roundUp(80 * perPixel), isPlace ? 1 : 0);
      const digits = Math.max(0, Math.ceil(-Math.log10(step)));
      for (let i = Math.ceil(start / step); i * step < start + length * perPixel; i++) {
        const pixel = Math.round((i * step - start) / perPixel) + 0.5;
        context.beginPath();
        draw(pixel, Math.abs(i * step).toFixed(digits), i);
        context.stroke();
      }
    };
    const [x, y] = [1 / this.scale / this.narrowing, 1 / this.scale];
    const texts = [];
    lines(x, -this.left * x, this.width, (at, text, i) => {
      context.moveTo(at, 0);
      context.lineTo(at, this.height);
      texts.push([isPlace ? text : `${text}° ${i < 0 ? "W" : "E"}`, at + 3, this.height - 8]);
    });
    // Latitudes grow upwards, rows of places downwards.
    lines(y, -this.top * y, this.height, (at, text, i) => {
      context.moveTo(0, at);
      context.lineTo(this.width, at);
      texts.push([isPlace ? text : `${text}° ${i > 0 ? "S" : "N"}`, 4, at - 7]);
    });
    context.textAlign = "left";
    for (const [text, x, y] of texts) this.label(text, x, y, "--quiet");
    if (isPlace) return;
    const kilometres = roundUp(60 / this.scale * KM_PER_DEGREE);
    const length = kilometres / KM_PER_DEGREE * this.scale;
    const [right, top] = [this.width - 12, 14];
    context.strokeStyle = colour("--text");
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(right - length, top);
    context.lineTo(right, top);
    context.stroke();
    context.textAlign = "right";
    this.label(kilometres < 1 ? `${number.format(kilometres * 1000)} m` : `${number.format(kilometres)} km`, right, top + 11, "--text");
  }
}

function circle(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
}

/** The sign of a state, as it is in texts. */
function shape(context, state, x, y) {
  const corners = { warning: [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]], contraindicated: [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]] }[state];
  if (!corners) return circle(context, x, y, SIZE - 0.5);
  context.beginPath();
  for (const [right, down] of corners) context.lineTo(x + right * SIZE, y + down * SIZE);
  context.closePath();
}

/** 1, 2 or 5 times a power of ten, and not less. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find(factor => factor * power >= value * 0.999);
}

const short = count => count < 1000 ? String(count) : `${(count / 1000).toPrecision(2)}k`;

function groupText(points) {
  const parts = Object.keys(STATES)
    .map(state => [points.filter(point => point.device.state === state).length, STATES[state][1]]);
  for (const flag of Object.keys(FLAGS)) parts.push([points.filter(point => point.device[flag]).length, FLAGS[flag][1]]);
  const texts = parts.filter(([count]) => count).map(([count, word]) => `${number.format(count)} ${word}`);
  return `${number.format(points.length)} devices: ${texts.join(", ") || "none"}`;
}
