// The live page: one WebSocket, two subscriptions, and a reconnect that goes on where it left off.
// It shows what the server says and decides nothing; see docs/protocol.md for the messages.

const STATES = ["scheduled", "pending", "in_flight", "completed", "dead", "cancelled"];
const EVENTS_SHOWN = 12;
const SECONDS_SHOWN = 120;

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en").format;

let lsn = null; // the last event seen: where to go on after a reconnect
let before = null; // the status before, for rates
let retryMs = 250;
const rates = [];
const events = [];

function connect() {
  const secret = sessionStorage.getItem("token");
  const protocols = ["beaver.v1+json"];
  if (secret) {
    const bytes = new TextEncoder().encode(secret);
    const base64 = btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    protocols.push(`beaver.bearer.${base64}`);
  }
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`, protocols);
  let opened = false;
  socket.onopen = () => {
    opened = true;
    retryMs = 250;
    $("token").hidden = true;
    socket.send(JSON.stringify({ type: "subscribe", id: "status", topic: "status", interval: 0.5 }));
    const resume = lsn === null ? {} : { from_lsn: lsn + 1 };
    socket.send(JSON.stringify({ type: "subscribe", id: "events", topic: "events", ...resume }));
  };
  socket.onmessage = (message) => receive(JSON.parse(message.data));
  socket.onclose = () => {
    $("connection").textContent = "connection lost; trying again …";
    $("connection").className = "lost";
    // A browser does not say why it could not connect; a missing token is the usual reason at the first try.
    $("token").hidden = opened || before !== null;
    before = null;
    setTimeout(connect, retryMs * (0.5 + Math.random()));
    retryMs = Math.min(retryMs * 2, 5000);
  };
}

function receive(message) {
  if (message.type === "status") showStatus(message.status);
  else if (message.type === "event") note(message);
  else if (message.type === "gap") {
    lsn = message.to;
    remember(`${message.from}–${message.to}`, "", "not kept any more", "");
  }
}

function showStatus(status) {
  const up = (Date.parse(status.at) - Date.parse(status.started_at)) / 1000;
  $("connection").className = "";
  $("connection").textContent =
    `version ${status.version} · up ${duration(up)} · LSN ${number(status.lsn)} · ${status.workers} workers` +
    (status.draining ? " · stopping" : "") + (status.storage_full ? " · THE DISK IS FULL: new jobs are refused" : "");
  fill($("states"), STATES.map((state) => tile(state, status.states[state])));
  if (before !== null) {
    const seconds = (Date.parse(status.at) - Date.parse(before.at)) / 1000;
    rates.push(seconds > 0 ? (status.totals.completed - before.totals.completed) / seconds : 0);
    if (rates.length > SECONDS_SHOWN) rates.shift();
  }
  before = status;
  $("rate").textContent = number(Math.round(rates.at(-1) ?? 0));
  drawRates();
  const unknown = Object.entries(status.unknown_kinds).map(([kind, count]) => `${kind} (${number(count)})`);
  $("totals").textContent =
    ["enqueued", "started", "completed", "failed", "rescued"].map((word) => `${number(status.totals[word])} ${word}`).join(" · ") +
    (unknown.length ? ` · no worker runs: ${unknown.join(", ")}` : "");
  fill($("queues"), Object.entries(status.queues).map(([name, queue]) => {
    const waits = queue.oldest_pending_at ? duration((Date.parse(status.at) - Date.parse(queue.oldest_pending_at)) / 1000) : "";
    const counts = STATES.slice(0, 5).map((state) => number(queue.states[state]));
    return row([name + (queue.paused ? " (paused)" : ""), ...counts, waits]);
  }));
}

function note(event) {
  lsn = event.lsn;
  remember(event.lsn, event.at.slice(11, 23), event.event, event.job_id ?? event.queue);
}

function remember(...cells) {
  events.unshift(cells);
  events.length = Math.min(events.length, EVENTS_SHOWN);
  schedule();
}

// Thousands of events a second are drawn once a frame.
let scheduled = false;
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    fill($("events"), events.map(row));
  });
}

function drawRates() {
  const most = Math.max(1, ...rates);
  const points = rates.map((rate, place) => `${((place + SECONDS_SHOWN - rates.length) / (SECONDS_SHOWN - 1)) * 120},${29 - (rate / most) * 28}`);
  $("line").setAttribute("d", points.length > 1 ? `M${points.join("L")}` : "");
}

function tile(state, count) {
  const box = document.createElement("div");
  if (state === "dead" && count > 0) box.className = "bad";
  const value = document.createElement("b");
  value.textContent = number(count);
  const name = document.createElement("span");
  name.textContent = state.replace("_", " ");
  box.append(value, name);
  return box;
}

function row(cells) {
  const line = document.createElement("tr");
  for (const text of cells) line.append(Object.assign(document.createElement("td"), { textContent: text }));
  return line;
}

function fill(parent, children) {
  parent.replaceChildren(...children);
}

function duration(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}

$("token").onsubmit = (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("secret").value);
};

connect();
