// The gateway's page: who looks, what the gateway tells, and what of it is shown.
import { List } from "./list.js";
import { CityMap } from "./map.js";
import { Plots } from "./plots.js";
import { byId, element, eventText, FLAGS, flags, number, reasonsText, setText, STATES, stateText, timeText } from "./text.js";

/** Events that are shown at most. */
const EVENTS = 200;
/** How often what is asked for again is asked for, in milliseconds. */
const PACE = 2000;

let devices = new Map();
/** While all are told anew: those that were told so far. */
let coming = null;
/** The devices by their names, and whether they still are. */
let sorted = [];
let isSorted = true;
let counts = null;
let chosen = null;
const collator = new Intl.Collator("en", { numeric: true });

const list = new List(choose);
const map = new CityMap(choose);
const plots = new Plots();

// Devices.

const FILTERS = { all: ["", "all"], ...STATES, ...FLAGS };
for (const [filter, [sign, word]] of Object.entries(FILTERS)) {
  const input = element("input", { type: "radio", name: "show", value: filter, checked: filter === "all" });
  const label = element("label", {}, input, element("b", { textContent: "0" }), element("span", { className: "state", textContent: `${sign} ${word}`.trim() }));
  label.dataset.state = filter;
  byId("counts").append(label);
}
byId("counts").addEventListener("change", showDevices);
byId("search").addEventListener("input", showDevices);

function showCounts() {
  const count = { all: counts.devices, isolated: counts.isolated, silent: counts.silent, ...counts.states };
  for (const label of byId("counts").querySelectorAll("label")) {
    label.querySelector("b").textContent = number.format(count[label.dataset.state] ?? 0);
  }
}

/** Lists and draws the devices that are looked for: those in trouble first, then by name. */
function showDevices() {
  const filter = document.querySelector("[name=show]:checked").value;
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = sorted.filter(device =>
    (filter === "all" || device.state === filter || device[filter] === true) && words.every(word => device.text.includes(word)));
  const trouble = device => device.isolated ? 0 : device.state === "contraindicated" ? 1 : device.state === "warning" ? 2 : 3;
  const ranks = [[], [], [], []];
  for (const device of found) ranks[trouble(device)].push(device);
  list.show(ranks.flat(), chosen);
  map.show(sorted, found, chosen);
  setText("found", found.length === sorted.length ? "" : `${number.format(found.length)} found`);
}

function take(told) {
  if (told.whole) coming = new Map();
  const target = coming ?? devices;
  for (const device of told.devices) {
    const before = devices.get(device.id);
    device.text = `${device.name} ${device.id} ${device.place}`.toLowerCase();
    isSorted &&= !coming && before?.name === device.name;
    target.set(device.id, device);
  }
  if (told.more) return;
  if (coming) [devices, coming] = [coming, null];
  sorted = isSorted ? sorted.map(device => devices.get(device.id)) : [...devices.values()].sort((a, b) => collator.compare(a.name, b.name));
  isSorted = true;
  if (!devices.has(chosen)) choose(null);
  if (told.devices.length || told.whole) showDevices();
}

function choose(id) {
  const isNew = id !== chosen;
  chosen = id;
  if (!isNew) return;
  showDevices();
  showDetail();
}

/** What is told of a device when it is asked for: more than of all. */
async function showDetail() {
  const asked = chosen;
  const answer = asked && await fetch(`/devices/${asked}`).catch(() => null);
  if (asked !== chosen) return;
  const place = byId("detail");
  if (!answer?.ok) {
    const text = asked ? "There is no answer." : "Choose a device to see more of it.";
    if (place.textContent !== text) place.replaceChildren(element("p", { className: "quiet", textContent: text }));
    place.told = null;
    return;
  }
  const told = await answer.text();
  if (asked !== chosen || place.told === told) return;
  place.told = told;
  const device = JSON.parse(told);
  const also = flags(device).map(flag => element("span", { className: flag, textContent: ` ${FLAGS[flag].join(" ")}` }));
  const state = element("p", {}, element("span", { className: "state", textContent: stateText(device) }), ...also);
  state.dataset.state = device.state;
  const facts = element("dl");
  for (const [name, ...value] of [
    ["Identity", device.id],
    ["Place", device.place.join(", ") + (device.position ? `; latitude ${device.position[1]}, longitude ${device.position[0]}` : "")],
    ["Last heard", device.last_seen ? timeText(device.last_seen) : "not since the gateway started"],
    ["Epoch", device.epoch ?? "not known"],
    ["Accepted", `${number.format(device.frames)} frames`],
    ["Refused", device.refused ? `${number.format(device.refused)}: ${reasonsText(device.reasons)}` : "none"],
    ["Streams", ...device.streams.flatMap(stream => {
      const button = element("button", { type: "button", textContent: stream });
      button.addEventListener("click", () => openFlow(stream));
      return [button, " "];
    })],
  ]) facts.append(element("dt", { textContent: name }), element("dd", {}, ...value));
  // Who has the focus on a stream keeps it.
  const at = [...place.querySelectorAll("button")].indexOf(document.activeElement);
  place.replaceChildren(element("h3", { textContent: device.name, dir: "auto" }), state, facts);
  if (at >= 0) place.querySelectorAll("button")[at]?.focus();
}

// What happens.

function showEvents(events) {
  const items = events.map(event => {
    const [state, sign, text] = eventText(event);
    const { device: id, city } = event.detail;
    const what = element("span");
    if (id && !city) {
      const button = element("button", { type: "button", textContent: devices.get(id)?.name ?? id, dir: "auto" });
      button.addEventListener("click", () => choose(id));
      what.append(button, " ");
    }
    what.append(text);
    const time = element("time", { dateTime: event.time, textContent: timeText(event.time) });
    const item = element("li", {}, time, element("span", { className: "state", textContent: sign, ariaHidden: "true" }), what);
    item.dataset.state = state;
    item.dataset.event = event.event;
    return item;
  });
  const timeline = byId("timeline");
  timeline.prepend(...items.reverse());
  while (timeline.children.length > EVENTS) timeline.lastChild.remove();
  byId("no-events").hidden = timeline.children.length > 0;
}

/** Says aloud what must not be missed. */
function announce(events) {
  const said = [["isolated", "isolated: code was altered"], ["recovered", "recovered and trusted again"]].flatMap(([name, text]) => {
    const own = events.filter(event => event.event === name);
    if (own.length === 0) return [];
    const who = own.length === 1 ? devices.get(own[0].detail.device)?.name ?? own[0].detail.device : `${own.length} devices`;
    return [`${who} ${own.length === 1 ? "is" : "are"} ${text}.`];
  });
  if (said.length) byId("announce").textContent = said.join(" ");
}

// Who receives what.

async function showFlows() {
  const answer = await fetch("/streams").catch(() => null);
  if (!answer?.ok) return;
  const streams = await answer.json();
  byId("no-flows").hidden = streams.length > 0;
  const place = byId("flows");
  const shown = new Map([...place.children].map(item => [item.dataset.stream, item]));
  const items = streams.map(({ stream, readings, allowed, refused }) => {
    const item = shown.get(stream) ?? flowItem(stream);
    const [words, bar] = item.querySelectorAll("summary > span, summary > progress");
    const text = `${allowed} of ${allowed + refused} users receive it; ${number.format(readings)} readings`;
    if (words.textContent !== text) words.textContent = text;
    [bar.max, bar.value] = [allowed + refused, allowed];
    if (item.open) showFlow(item);
    return item;
  });
  // What stays is not moved, so that nobody loses the focus.
  if (items.some((item, i) => item !== place.children[i]) || items.length !== place.children.length) place.replaceChildren(...items);
}

function flowItem(stream) {
  const head = element("tr", {}, ...["User", "Decision", "Reason", "Readings"].map(title => element("th", { scope: "col", textContent: title })));
  head.lastChild.className = "number";
  const table = element("table", {}, element("thead", {}, head), element("tbody"));
  table.ariaLabel = `Who receives ${stream}`;
  const scroll = element("div", { className: "scroll", tabIndex: 0, role: "group", ariaLabel: `Users of ${stream}` }, table);
  const bar = element("progress", { className: "bar", ariaHidden: "true" });
  const item = element("details", {}, element("summary", {}, element("b", { textContent: stream }), element("span", { className: "quiet" }), bar), scroll);
  item.dataset.stream = stream;
  item.addEventListener("toggle", () => { if (item.open) showFlow(item) });
  return item;
}

async function showFlow(item) {
  const answer = await fetch(`/streams/${encodeURIComponent(item.dataset.stream)}`).catch(() => null);
  if (!answer?.ok) return;
  const rows = (await answer.json()).map(({ user, allowed, reason, count }) => element("tr", {},
    element("td", { textContent: user }),
    element("td", { className: allowed ? "allowed" : "refused", textContent: allowed ? "✓ allowed" : "✗ refused" }),
    element("td", { textContent: reason }),
    element("td", { className: "number", textContent: number.format(count) }),
  ));
  item.querySelector("tbody").replaceChildren(...rows);
}

function openFlow(stream) {
  const item = [...byId("flows").children].find(item => item.dataset.stream === stream);
  if (!item) return;
  item.open = true;
  item.querySelector("summary").focus();
}

// Other cities.

/** Without a reading for so long, in milliseconds, nobody says that there is contact. */
const IN_CONTACT = 600_000;

/** What is handed over to each, and by it. */
async function showCities() {
  const answer = await fetch("/cities").catch(() => null);
  if (!answer?.ok) return;
  const cities = Object.entries(await answer.json());
  byId("cities").hidden = cities.length === 0;
  const last = time => time ? timeText(time) : "never";
  const rows = cities.map(([name, city]) => {
    const held = { waiting: city.waiting, lost: city.lost, withheld: city.withheld, ...city.refused_there };
    const isolated = city.incidents?.isolated;
    const contact = Math.max(...[city.last_sent, city.last_taken].map(time => time ? Date.parse(time) : 0));
    const [state, text] = isolated ? ["isolated", `▣ ${number.format(isolated)} isolated there`]
      : city.is_failing || city.incidents?.failing ? ["warning", "▲ no answer"]
      : !city.is_partner ? ["none", name === "unknown" ? "○ nobody known" : "○ no partner now"]
      : Date.now() - contact < IN_CONTACT || city.incidents?.answers ? ["affirming", "● in contact"]
      : ["none", contact ? "○ nothing lately" : "○ nothing yet"];
    const cells = [
      city.sends.join(", ") || "nothing", city.sent ? `${last(city.last_sent)}; ${number.format(city.sent)} readings` : "never",
      reasonsText(Object.fromEntries(Object.entries(held).filter(([, count]) => count))) || "nothing",
      city.takes.join(", ") || "nothing", city.taken ? `${last(city.last_taken)}; ${number.format(city.taken)} readings` : "never",
      reasonsText(city.refused) || "nothing",
    ];
    const row = element("tr", {}, element("th", { scope: "row", textContent: name }),
      element("td", { className: "state", textContent: text }), ...cells.map(textContent => element("td", { textContent })));
    row.dataset.state = state;
    row.dataset.city = name;
    return row;
  });
  byId("cities").querySelector("tbody").replaceChildren(...rows);
  showDoubts(cities);
}

const TRUST = { hold: "▣ held back", mark: "▲ marked", ignore: "○ as others" };

/** What other cities have told of their devices, and what becomes of it here. */
function showDoubts(cities) {
  const rows = cities.flatMap(([name, city]) => (city.incidents?.reports ?? []).map(report => element("tr", {},
    element("th", { scope: "row", textContent: name }),
    element("td", { textContent: report.device }),
    element("td", { textContent: report.cleared ? "○ cleared by an operator" : TRUST[report.trust] }),
    element("td", { textContent: timeText(report.since) }),
    element("td", { textContent: report.incident }),
  )));
  byId("doubts").hidden = rows.length === 0;
  byId("doubts").querySelector("tbody").replaceChildren(...rows);
}

// Other gateways of this city.

let isOneOfSeveral = true;

/** Numbers as 0–5, 9. */
function ranges(numbers) {
  const found = [];
  for (const n of numbers) {
    if (found.at(-1)?.[1] === n - 1) found.at(-1)[1] = n;
    else found.push([n, n]);
  }
  return found.map(([first, last]) => first === last ? `${first}` : `${first}–${last}`).join(", ");
}

/** Which gateway this is, which shards of the devices it has, and where the others are: only those of its own are shown here. */
async function showGateways() {
  const answer = isOneOfSeveral && await fetch("/status?limit=1").catch(() => null);
  if (!answer?.ok) return;
  const { cluster } = await answer.json();
  isOneOfSeveral = Boolean(cluster);
  if (!cluster) return;
  const place = byId("gateways");
  const shards = name => ranges(cluster.shards.filter(shard => shard.holder === name).map(shard => shard.shard)) || "none";
  const others = cluster.members.filter(({ name }) => name !== cluster.name);
  const { version, is_applied: isApplied } = cluster.configuration;
  const files = isApplied ? `configuration ${version}` : "▲ other files are in force than this gateway has";
  const told = `Gateway ${cluster.name}: shards ${shards(cluster.name)} of ${cluster.shards.length}; ${files}. `;
  const links = others.flatMap(({ name, url }) => {
    const text = `${name} (${shards(name)})`;
    // Whatever a gateway says of itself, a link goes to a page.
    return [/^https?:/.test(url) ? element("a", { href: url, textContent: text }) : text, " "];
  });
  const text = JSON.stringify([told, others, links.map(link => link.textContent ?? link)]);
  if (place.told !== text) place.replaceChildren(told, others.length ? "Others: " : "", ...links);
  place.told = text;
  place.hidden = false;
}

// What the gateway tells.

function connection(text, state) {
  setText("connection", text);
  byId("connection").toggleAttribute("data-live", state === "live");
  byId("connection").toggleAttribute("data-lost", state === "lost");
}

function showFault(fault) {
  setText("fault", fault ? `The configuration is not taken over: ${fault}` : "");
  byId("fault").hidden = !fault;
}

function connect() {
  const source = new EventSource("/events");
  let isFirst = true;
  source.addEventListener("open", () => {
    // All comes again.
    isFirst = true;
    connection("live", "live");
  });
  source.addEventListener("error", () => {
    connection("connection lost; trying again: what is shown is old", "lost");
    // After an answer that is no stream of events the browser does not try again.
    if (source.readyState === EventSource.CLOSED) setTimeout(start, PACE);
  });
  source.addEventListener("changes", message => {
    const told = JSON.parse(message.data);
    if (isFirst) {
      byId("timeline").replaceChildren();
      plots.clear();
      waiting = [];
    }
    counts = told.counts;
    setText("city", told.city);
    showCounts();
    showFault(told.fault);
    take(told);
    plots.add(told.samples);
    // Events name devices: these must be there.
    waiting.push(...told.events);
    if (!told.more) {
      showEvents(waiting);
      waiting = [];
    }
    if (!isFirst) announce(told.events);
    isFirst = false;
  });
}
let waiting = [];

setInterval(() => {
  if (document.hidden || byId("log-out").hidden) return;
  showFlows();
  showCities();
  showGateways();
  if (chosen) showDetail();
}, PACE);

// Who looks: somebody with a session, or somebody who is to log in.

async function start() {
  const answer = await fetch("/session").catch(() => null);
  if (answer?.ok) {
    showWho(await answer.json());
    connect();
    showFlows();
    showCities();
    showGateways();
  } else if (answer?.status === 401) {
    // Nothing of what was shown stays.
    if (counts) return location.reload();
    showWho(null);
    connection("not logged in");
  } else {
    setTimeout(start, PACE);
  }
}

function showWho(who) {
  document.querySelector("main").hidden = byId("log-out").hidden = !who;
  byId("log-in").hidden = Boolean(who);
  byId("who").textContent = who ? `${who.operator}, ${who.role}` : "";
  if (!who) byId("token").focus();
}

byId("log-in").addEventListener("submit", async event => {
  event.preventDefault();
  const body = JSON.stringify({ token: byId("token").value });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch("/session", { method: "POST", headers, body }).catch(() => null);
  byId("log-in-fault").textContent = answer?.ok ? "" : (await answer?.json().catch(() => null))?.error ?? "no answer";
  if (!answer?.ok) return;
  byId("token").value = "";
  start();
});

byId("log-out").addEventListener("click", async () => {
  await fetch("/session", { method: "DELETE" }).catch(() => null);
  // Nothing of what was shown stays.
  location.reload();
});

start();
