// Rates and times of the last half hour, drawn by uPlot.
import { byId, clock, colour, element, number } from "./text.js";

const MOST = 360;
const PLOTS = [
  { title: "A second", series: [["accepted", "frames accepted"], ["refused", "messages refused"]], unit: "" },
  { title: "To store a batch", series: [["mean", "on average"], ["longest", "at most"]], unit: " ms" },
  { title: "Waiting", series: [["undelivered", "readings the broker does not have"]], unit: "" },
];

const SECONDS = 1800;
const text = value => value == null ? "–" : number.format(value < 10 ? Number(value.toPrecision(2)) : Math.round(value));

const halfHourTo = last => [last - SECONDS, last];

export class Plots {
  constructor() {
    this.samples = [];
    this.plots = PLOTS.map(plot => this.make(plot));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const { chart } of this.plots) chart.redraw();
    });
  }

  make({ title, series, unit }) {
    const caption = element("figcaption");
    const figure = element("figure", {}, caption);
    byId("plots").append(figure);
    const line = { stroke: () => colour("--line"), width: 1 };
    const axis = { stroke: () => colour("--quiet"), grid: line, ticks: line };
    const minutes = (_, times) => times.map(time => clock(new Date(1000 * time)).slice(0, 5));
    const say = at => {
      const sample = this.samples[at ?? this.samples.length - 1];
      const time = at == null || !sample ? "now" : clock(new Date(sample.time));
      const values = series.map(([key, name], i) => element("span", { className: ["one", "two"][i], textContent: `${text(sample?.[key])}${unit} ${name}  ` }));
      caption.replaceChildren(element("b", { textContent: `${title}, ${time}` }), element("br"), ...values);
    };
    const lines = series.map((_, i) => ({ stroke: () => colour(["--good", "--bad"][i]), dash: [[], [5, 4]][i], width: 2, points: { show: false } }));
    const chart = new uPlot({
      width: 300,
      height: 130,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: "plots" } },
      series: [{}, ...lines],
      axes: [{ ...axis, size: 28, values: minutes }, { ...axis, size: 46, values: (_, values) => values.map(value => text(value)) }],
      scales: { x: { range: (_, __, last) => halfHourTo(last ?? Date.now() / 1000) }, y: { range: (_, __, most) => [0, Math.max(1, most ?? 0) * 1.1] } },
      hooks: { setCursor: [({ cursor }) => say(cursor.idx)] },
    }, [[], ...series.map(() => [])], figure);
    chart.root.ariaHidden = "true";
    new ResizeObserver(() => chart.setSize({ width: figure.clientWidth, height: 130 })).observe(figure);
    say(null);
    return { chart, say, keys: series.map(([key]) => key) };
  }

  add(samples) {
    if (samples.length === 0) return;
    this.samples = [...this.samples, ...samples].slice(-MOST);
    const times = this.samples.map(sample => Date.parse(sample.time) / 1000);
    for (const { chart, say, keys } of this.plots) {
      chart.setData([times, ...keys.map(key => this.samples.map(sample => sample[key]))]);
      say(chart.cursor.idx);
    }
  }

  clear() {
    this.samples = [];
  }
}
