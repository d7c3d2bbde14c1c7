// What is shown, in words. Everything from the gateway is put in as text, never as HTML.

export const byId = id => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Sets a text if it is another one: so that screen readers say it once. */
export function setText(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
}

const probe = document.body.appendChild(element("i", { hidden: true }));
const colours = new Map();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => colours.clear());

/** What a colour of the style sheet is in the scheme of the moment: a canvas does not know its name. */
export function colour(name) {
  if (!colours.has(name)) {
    probe.style.color = `var(${name})`;
    colours.set(name, getComputedStyle(probe).color);
  }
  return colours.get(name);
}

export const number = new Intl.NumberFormat("en");

/** The states of a device, and what it may be besides; each with a sign and a word. */
export const STATES = {
  none: ["○", "unknown"],
  affirming: ["●", "as built"],
  warning: ["▲", "no answer"],
  contraindicated: ["◆", "altered"],
};
export const FLAGS = {
  isolated: ["▣", "isolated"],
  silent: ["◌", "silent"],
};

export const stateText = device => (STATES[device.state] ?? STATES.none).join(" ");
export const flags = device => Object.keys(FLAGS).filter(flag => device[flag]);

export const clock = time => time.toLocaleTimeString([], { hour12: false });

export function timeText(text) {
  const time = new Date(text);
  const isToday = time.toDateString() === new Date().toDateString();
  return `${isToday ? "" : `${time.toLocaleDateString()} `}${clock(time)}`;
}

export const reasonsText = reasons => Object.entries(reasons)
  .map(([reason, count]) => `${number.format(count)} × ${reason.replaceAll("_", " ")}`)
  .join(", ");

/** An event as a state (for its colour), a sign and a sentence that follows the name of the device, if it is about one. */
export function eventText({ event, detail }) {
  const code = detail.function || "a function";
  const several = detail.count && `${number.format(detail.count)} devices`;
  const size = `${detail.devices} devices, ${detail.users} users`;
  switch (event) {
    case "isolated": return ["isolated", "▣", `is isolated${detail.again ? ", still" : ""}: ${code} is not what was built`];
    case "recovered": return ["affirming", "●", "is recovered: its code was restored and attested"];
    case "recovery begun": return ["none", "↻", "is being recovered"];
    case "distrusted": return ["isolated", "▣", `${detail.city} has isolated ${several || `its device ${detail.device}`}: what came from it is ${detail.held ? "held back" : "marked"}`];
    case "trusted again": return ["affirming", "●", several ? `${several} of ${detail.city} are trusted again` : `The device ${detail.device} of ${detail.city} is trusted again`];
    case "attested": return ["warning", "▲", `has not answered as it must: ${detail.finding} (${code})`];
    case "refused": return ["warning", "✕", `Refused within a minute: ${reasonsText(detail)}`];
    case "configuration loaded": return ["none", "✎", `The configuration was taken over: ${size}`];
    case "configuration refused": return ["contraindicated", "✕", `The configuration was refused: ${detail.fault}`];
    case "started": return ["none", "▸", `The gateway started: ${size}`];
    default: return ["warning", "▲", `The gateway ${event}: ${detail.file}: ${detail.fault}`];
  }
}
