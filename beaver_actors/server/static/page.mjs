// The live page: one WebSocket, two subscriptions, and a reconnect that goes on where it left off.
// It takes what the server says to draw.mjs and decides nothing; see docs/protocol.md for the messages.

import {
  $, drawChart, showAlerts, showEvents, showJob, showOperations, showQueues, showSchedules, showStates, showTotals, upFor,
} from "./draw.mjs";

const EVENTS_SHOWN = 15;
const STATUS_SECONDS = 0.5;
const SAMPLES_SHOWN = 240; // two minutes of them
const LISTS_SECONDS = 5; // between two looks at schedules, whose jobs go on without an event of theirs
const MANY_SCHEDULES = 100; // of more than that, a list is large, and is not asked for with every fire
const MANY_SECONDS = 30;
const RATE_SAMPLES = 4; // the number beside the chart is their mean: it should be readable

let socket = null;
let connected = false;
let lsn = null; // the last event seen: where to go on after a reconnect
let before = null; // the status before, for rates
let retryMs = 250;
const samples = []; // {completed, enqueued} a second; null while there was no connection
let events = [];
let schedules = [];
let operations = [];
let listsAt = 0; // by the server's clock, when they were asked for
let stale = new Set(["schedules", "operations"]); // lists of which an event has told

function connect() {
  const secret = sessionStorage.getItem("token");
  const protocols = ["beaver.v1+json"];
  if (secret) {
    const bytes = new TextEncoder().encode(secret);
    const base64 = btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    protocols.push(`beaver.bearer.${base64}`);
  }
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`, protocols);
  socket.onopen = () => {
    connected = true;
    retryMs = 250;
    stale = new Set(["schedules", "operations"]);
    $("token").hidden = true;
    ask({ type: "subscribe", id: "status", topic: "status", interval: STATUS_SECONDS });
    ask({ type: "subscribe", id: "events", topic: "events", batch: 500, ...(lsn === null ? {} : { from_lsn: lsn + 1 }) });
  };
  socket.onmessage = (message) => receive(JSON.parse(message.data));
  socket.onclose = async () => {
    connected = false;
    before = null;
    say("connection lost; trying again …", "lost");
    const needed = await tokenNeeded(secret);
    $("token").hidden = !needed;
    if (needed) say(secret ? "this token is not the server's" : "this server asks for a token", "lost");
    setTimeout(connect, retryMs * (0.5 + Math.random()));
    retryMs = Math.min(retryMs * 2, 5000);
  };
}

// A browser does not tell a page why a WebSocket was refused; the same question over HTTP is answered.
async function tokenNeeded(secret) {
  try {
    const headers = secret ? { Authorization: `Bearer ${secret}` } : {};
    return (await fetch("/api/v1/status", { headers, cache: "no-store" })).status === 401;
  } catch {
    return false; // nobody is there
  }
}

function ask(message) {
  socket.send(JSON.stringify(message));
}

function say(text, look) {
  $("connection").textContent = text;
  $("connection").className = look;
  $("figures").className = look === "lost" ? "stale" : "";
}

function receive(message) {
  if (message.type === "status") showStatus(message.status);
  else if (message.type === "events") note(message.events);
  else if (message.type === "gap") note([{ ...message, lsn: message.to }]);
  else if (message.re === "schedules") schedules = message.schedules ?? [];
  else if (message.re === "operations") operations = message.operations ?? [];
  else if (message.re === "events" && message.code === "bad_request" && lsn !== null) {
    lsn = null; // the data directory went back to a copy: what was seen here is not what happened there
    socket.close();
  } else if (message.re?.startsWith("job ")) showJob(message.re.slice(4), message.job ?? message.message);
}

function showStatus(status) {
  const up = (Date.parse(status.at) - Date.parse(status.started_at)) / 1000;
  const number = new Intl.NumberFormat("en").format;
  say(
    `version ${status.version} · up ${upFor(up)} · LSN ${number(status.lsn)} · ${status.workers} workers` +
      ` · ${number(status.sessions)} ${status.sessions === 1 ? "connection" : "connections"}`,
    "live",
  );
  if (before !== null) {
    const seconds = (Date.parse(status.at) - Date.parse(before.at)) / 1000;
    const rate = (total) => (seconds > 0 ? (status.totals[total] - before.totals[total]) / seconds : 0);
    sample({ completed: rate("completed"), enqueued: rate("enqueued") });
  }
  before = status;
  showAlerts(status);
  showStates(status.states);
  showTotals(status);
  showQueues(status);
  showLists(status);
}

// Asked for with the status, so not more often, however many events there are.
function showLists(status) {
  const now = Date.parse(status.at);
  const many = schedules.length > MANY_SCHEDULES;
  const timely = now - listsAt >= (many ? MANY_SECONDS : LISTS_SECONDS) * 1000;
  if (timely) {
    if (status.schedules) stale.add("schedules");
    if (operations.some((one) => one.state === "running")) stale.add("operations");
    listsAt = now;
  }
  for (const list of [...stale]) {
    if (many && !timely && list === "schedules") continue;
    ask({ type: list, id: list });
    stale.delete(list);
  }
  showSchedules(status.schedules ? schedules : [], now);
  showOperations(operations, now);
}

function sample(rates) {
  samples.push(rates);
  if (samples.length > SAMPLES_SHOWN) samples.shift();
  const latest = samples.slice(-RATE_SAMPLES).filter(Boolean);
  const mean = (name) => latest.reduce((sum, one) => sum + one[name], 0) / Math.max(1, latest.length);
  drawChart(samples, SAMPLES_SHOWN, { completed: mean("completed"), enqueued: mean("enqueued") });
}

function note(news) {
  if (news.length === 0) return;
  lsn = news.at(-1).lsn;
  for (const { event } of news) {
    if (event?.startsWith("schedule_")) stale.add("schedules");
    else if (event?.startsWith("operation_")) stale.add("operations");
  }
  events = [...news.slice(-EVENTS_SHOWN).reverse(), ...events].slice(0, EVENTS_SHOWN);
  schedule();
}

// Thousands of events a second are drawn once a frame.
let scheduled = false;
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    showEvents(events);
  });
}

$("token").onsubmit = (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("secret").value);
  retryMs = 250;
};

$("events").onclick = (event) => {
  const id = event.target.dataset?.job;
  if (id && connected) ask({ type: "get", id: `job ${id}`, job_id: id });
};

setInterval(() => connected || sample(null), STATUS_SECONDS * 1000);
connect();
