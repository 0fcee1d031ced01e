// What the live page looks like: from values to elements. It asks nobody and keeps nothing.
// Whatever comes from a job is put in as text, never as markup.

const STATES = ["scheduled", "pending", "in_flight", "completed", "dead", "cancelled"];
const DETAIL_CHARS = 120;
const SCHEDULES_SHOWN = 8;
const ENDED_SHOWN_MS = 60_000; // so that one that took a moment is seen

export const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en").format;

export function showAlerts(status) {
  const unknown = Object.entries(status.unknown_kinds).map(([kind, count]) => `${kind} (${number(count)})`);
  const alerts = [
    status.storage_full && "The disk is full: new jobs are refused and none is started; outcomes are recorded.",
    status.draining && "The server is stopping.",
    unknown.length && `No worker can run: ${unknown.join(", ")}.`,
    status.states.dead && `${number(status.states.dead)} dead: see “beaver jobs list --state dead”.`,
  ];
  fill($("alerts"), alerts.filter(Boolean).map((text) => element("li", text)));
}

export function showStates(states) {
  fill($("states"), STATES.map((state) => {
    const tile = element("div", "", state);
    tile.append(element("b", number(states[state])), element("span", state.replace("_", " ")));
    return tile;
  }));
}

export function showTotals(status) {
  const died = Object.values(status.dead_reasons).reduce((sum, count) => sum + count, 0);
  const totals = { ...status.totals, died };
  const words = ["enqueued", "started", "completed", "failed", "rescued", "died", "cancelled"];
  $("totals").textContent = `ever: ${words.map((word) => `${number(totals[word])} ${word}`).join(" · ")}`;
}

export function showQueues(status) {
  fill($("queues"), Object.entries(status.queues).map(([name, queue]) => {
    const since = queue.oldest_pending_at;
    const waits = since ? upFor((Date.parse(status.at) - Date.parse(since)) / 1000) : "";
    const counts = STATES.map((state) => number(queue.states[state]));
    return row([name + (queue.paused ? " (paused)" : ""), ...counts, waits]);
  }));
}

// Those that are due next come first, paused ones last.
export function showSchedules(schedules, now) {
  $("schedules-section").hidden = schedules.length === 0;
  const due = (one) => Date.parse(one.next[0] ?? "9999-01-01");
  const shown = schedules.toSorted((one, other) => due(one) - due(other)).slice(0, SCHEDULES_SHOWN);
  fill($("schedules"), shown.map((one) => {
    const wait = (due(one) - now) / 1000;
    const next = one.paused ? element("span", "paused", "paused") : wait < 1 ? "now" : `in ${upFor(wait)}`;
    const state = one.last_job_state ?? "deleted";
    const ago = one.last_at && `${state.replace("_", " ")}, ${upFor((now - Date.parse(one.last_at)) / 1000)} ago`;
    const last = ago ? element("span", ago, `event ${state}`) : "none yet";
    return row([one.name, when(one), one.job.kind, next, last, number(one.fired), number(one.skipped)]);
  }));
  const more = schedules.length - shown.length;
  $("schedules-more").textContent = more ? `${number(more)} more: see “beaver schedules list”.` : "";
}

export function showOperations(operations, now) {
  const shown = operations.filter((one) => !one.ended_at || now - Date.parse(one.ended_at) < ENDED_SHOWN_MS);
  $("operations-section").hidden = shown.length === 0;
  fill($("operations"), shown.map((one) => {
    const bar = Object.assign(document.createElement("progress"), { max: Math.max(1, one.to_look_at), className: one.state });
    // What is gone meanwhile is not looked at; an end is an end all the same.
    bar.value = one.state === "completed" ? bar.max : one.looked_at;
    const far = element("span", "");
    far.append(bar, `${number(one.looked_at)} of ${number(one.to_look_at)}`);
    const state = element("span", one.state, `event ${one.state}`);
    return row([`${one.word} ${one.id}`, conditions(one.wanted), far, number(one.changed), number(one.refused), state]);
  }));
}

export function showEvents(events) {
  fill($("events"), events.map((event) => {
    if (event.type === "gap") return row([`${event.from}–${event.to}`, "", "gap", "", "not kept any more"]);
    const who = event.job_id ? element("button", event.job_id) : event.schedule ?? event.operation ?? event.queue;
    if (event.job_id) who.dataset.job = event.job_id;
    const name = element("span", event.event, `event ${event.event}`);
    return row([event.lsn, event.at.slice(11, 23), name, who, details(event)]);
  }));
}

export function showJob(id, job) {
  $("job-title").textContent = id;
  $("job-text").textContent = typeof job === "string" ? job : JSON.stringify(job, null, 2);
  if (!$("job").open) $("job").showModal();
}

// `samples` end at the right, and there is room for `room` of them; null leaves a hole. Each line has a scale of
// its own, or one large batch would flatten the other.
export function drawChart(samples, room, now) {
  for (const name of ["completed", "enqueued"]) {
    const peak = Math.max(0, ...samples.map((one) => (one ? one[name] : 0)));
    const most = Math.max(1, peak);
    let line = "";
    let pen = "M";
    samples.forEach((one, place) => {
      if (one) line += `${pen}${((place + room - samples.length) / (room - 1)) * 240},${58 - (one[name] / most) * 56}`;
      pen = one ? "L" : "M";
    });
    $(`${name}-line`).setAttribute("d", line);
    $(`${name}-rate`).textContent = number(Math.round(now[name]));
    $(`${name}-most`).textContent = `at most ${number(Math.ceil(peak))}`;
  }
}

export function upFor(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}

function when(schedule) {
  if (schedule.cron === null) return `every ${span(schedule.every)}`;
  return schedule.cron + (schedule.tz === "UTC" ? "" : ` ${schedule.tz}`);
}

function span(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const words = [];
  for (const [unit, length] of units) {
    const count = unit === "s" ? seconds : Math.floor(seconds / length);
    if (count) words.push(`${count} ${unit}`);
    seconds -= count * length;
  }
  return words.join(" ");
}

function conditions(wanted) {
  const said = Object.entries(wanted).filter(([, value]) => value !== null);
  return said.map(([name, value]) => (name === "state" ? value : `${name.replace("_", " ")} ${value}`)).join(", ");
}

function details(event) {
  const said = [
    event.kind,
    event.queue && event.queue !== "default" && `queue ${event.queue}`,
    event.error && `${event.error.type}: ${event.error.message}`,
    event.reason,
    event.fired_job_id,
    event.word,
    event.changed != null && `${number(event.changed)} changed of ${number(event.looked_at)} looked at`,
    event.how,
    event.run_at && event.run_at !== event.at && `not before ${event.run_at.slice(0, 19).replace("T", " ")}`,
    ...[event.args, event.progress, event.result].map((value) => value != null && JSON.stringify(value)),
  ];
  const text = said.filter((word) => word && word !== "{}").join("  ");
  return text.length > DETAIL_CHARS ? `${text.slice(0, DETAIL_CHARS)}…` : text;
}

function row(cells) {
  const line = document.createElement("tr");
  for (const cell of cells) {
    const box = document.createElement("td");
    box.append(cell);
    line.append(box);
  }
  return line;
}

function element(name, text, look = "") {
  return Object.assign(document.createElement(name), { textContent: text, className: look });
}

function fill(parent, children) {
  parent.replaceChildren(...children);
}
