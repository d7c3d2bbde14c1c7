// The list of devices: only the rows in sight are there, whatever is listed.
import { byId, element, flags, FLAGS, stateText } from "./text.js";

const HEIGHT = 44;
const SPARE = 4;

export class List {
  /** `choose` is told which device is chosen. */
  constructor(choose) {
    this.choose = choose;
    this.devices = [];
    this.chosen = null;
    this.box = byId("rows");
    this.room = byId("room");
    this.box.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.box);
    this.box.addEventListener("keydown", event => this.key(event));
    this.room.addEventListener("click", event => {
      const row = event.target.closest(".row");
      if (row) this.choose(row.dataset.device);
    });
  }

  show(devices, chosen) {
    const isNew = chosen !== this.chosen;
    this.devices = devices;
    this.chosen = chosen;
    this.room.style.height = `${devices.length * HEIGHT}px`;
    if (isNew) this.reveal(this.at());
    this.draw();
  }

  /** Where the chosen device is; -1 if it is not listed. */
  at() {
    return this.devices.findIndex(device => device.id === this.chosen);
  }

  reveal(at) {
    if (at < 0) return;
    const { scrollTop, clientHeight } = this.box;
    if (at * HEIGHT < scrollTop) this.box.scrollTop = at * HEIGHT;
    if ((at + 1) * HEIGHT > scrollTop + clientHeight) this.box.scrollTop = (at + 1) * HEIGHT - clientHeight;
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / HEIGHT) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || this.devices.length === 0) return;
    event.preventDefault();
    const to = Math.max(this.at() + steps[event.key], 0);
    this.choose(this.devices[Math.min(to, this.devices.length - 1)].id);
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / HEIGHT) - SPARE);
    const seen = Math.ceil(this.box.clientHeight / HEIGHT) + 2 * SPARE;
    const rows = this.devices.slice(first, first + seen).map((device, i) => this.row(device, first + i));
    this.room.replaceChildren(...rows);
    const chosen = rows.find(row => row.dataset.device === this.chosen);
    if (chosen) this.box.setAttribute("aria-activedescendant", chosen.id);
    else this.box.removeAttribute("aria-activedescendant");
  }

  row(device, at) {
    const also = flags(device).map(flag => element("span", { className: flag, textContent: ` ${FLAGS[flag].join(" ")}` }));
    const row = element("div", { className: "row", id: `row-${device.id}`, role: "option" },
      element("b", { textContent: device.name, dir: "auto" }),
      element("span", { className: "state", textContent: stateText(device) }),
      element("small", { textContent: device.id }),
      element("small", {}, ...also),
    );
    row.dataset.device = device.id;
    row.dataset.state = device.state;
    row.dataset.isolated = device.isolated;
    row.ariaSelected = String(device.id === this.chosen);
    row.ariaSetSize = String(this.devices.length);
    row.ariaPosInSet = String(at + 1);
    row.style.top = `${at * HEIGHT}px`;
    return row;
  }
}
