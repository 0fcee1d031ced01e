// The connection of a worker, in a thread of its own: a handler that keeps the main thread busy costs no lease.
// It knows what is held and what is reported without an answer; it runs no job. Talks to `worker.js` by messages.

import { parentPort, workerData } from "node:worker_threads";
import WebSocket from "ws";

const { url, token, registration } = workerData;
const GOODBYE_MS = 10_000;
const UNHEARD_MAX = 2;

const running = new Map(); // fence -> job id
let reports = []; // ended, and not sent
let unanswered = new Map(); // request id -> its reports
let progress = new Map(); // fence -> the last word
let slots = registration.slots;
let socket = null;
let registered = false;
let registering = null; // the id of that request
let closing = false;
let parting = null;
let unheard = 0;
let heartbeatMs = 15_000;
let beating = null;
let failures = 0;
let requests = 0;

function say(type, fields = {}) {
  const id = String(++requests);
  socket.send(JSON.stringify({ type, id, ...fields }));
  return id;
}

function fences() {
  const told = [...reports, ...[...unanswered.values()].flat()];
  return [...running.keys(), ...told.map((report) => report.fence)];
}

function connect() {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  socket = new WebSocket(url, ["beaver.v1+json"], { headers, maxPayload: 64 * 1024 * 1024, handshakeTimeout: 10_000 });
  socket.on("open", opened);
  socket.on("message", (data) => received(JSON.parse(data.toString())));
  socket.on("unexpected-response", (_, response) => {
    if ([400, 401, 403, 404].includes(response.statusCode)) end(`the server answered with ${response.statusCode}`);
    else socket.terminate();
  });
  socket.on("error", () => {}); // "close" follows
  socket.on("close", lost);
}

function opened() {
  // Everything without an answer is told again, after who we are: that is harmless.
  reports = [...[...unanswered.values()].flat(), ...reports];
  unanswered = new Map();
  registered = false;
  unheard = 0;
  parting = null;
  registering = say("register", { ...registration, slots, fences: fences() });
}

function lost() {
  clearInterval(beating);
  registered = false;
  if (isDone()) return end(null);
  const wait = Math.min(10_000, 200 * 2 ** failures++) * (0.5 + Math.random() / 2);
  setTimeout(connect, wait);
}

function received(message) {
  switch (message.type) {
    case "ok":
      return answered(message);
    case "error":
      return refused(message);
    case "lease":
      for (const job of message.jobs) running.set(job.fence, job.job_id);
      return parentPort.postMessage({ what: "leased", jobs: message.jobs });
    case "notice":
      return stand(message);
  }
}

function answered(message) {
  if (message.re === registering) {
    registered = true;
    failures = 0;
    heartbeatMs = message.heartbeat * 1000 * 0.9;
    beating = setInterval(beat, heartbeatMs);
    stand(message);
  } else if (message.re === parting) {
    socket.close(1000);
    return end(null);
  } else if (unanswered.delete(message.re)) {
    for (const receipt of message.reports) {
      if (!receipt.recorded) parentPort.postMessage({ what: "late", receipt });
    }
  } else if (message.lost) {
    unheard = 0;
    stand(message);
  }
  flush();
}

function refused(message) {
  const batch = unanswered.get(message.re);
  if (message.re === registering || message.code === "conflict") return socket.terminate(); // and try again
  if (!batch) return;
  unanswered.delete(message.re);
  // A bug of this worker or of a handler: the job must not hang, so it is rejected with the reason.
  for (const { job_id, fence, outcome, error } of batch) {
    if (batch.length === 1 && outcome === "rejected" && error.type === "BadReport") continue;
    reports.push({ job_id, fence, outcome: "rejected", error: { type: "BadReport", message: message.message } });
  }
  flush();
}

function stand({ lost = [], cancel = [] }) {
  const gone = lost.filter((fence) => running.delete(fence));
  if (gone.length || cancel.length) parentPort.postMessage({ what: "stop", lost: gone, cancel });
}

function beat() {
  if (unheard++ > UNHEARD_MAX) return socket.terminate(); // as good as gone
  say("heartbeat", { fences: fences() });
}

function flush() {
  if (!registered || parting) return;
  if ((reports.length || progress.size) && unanswered.size < 4) {
    const batch = reports.splice(0, 100);
    unanswered.set(say("report", { reports: batch, progress: [...progress.values()].slice(0, 1000) }), batch);
    progress = new Map();
  }
  if (closing && !reports.length && !unanswered.size) parting = say("deregister");
}

function isDone() {
  return closing && !running.size && !reports.length && !unanswered.size;
}

function end(problem) {
  parentPort.postMessage({ what: "ended", problem });
  parentPort.close();
  clearInterval(beating);
}

parentPort.on("message", (told) => {
  switch (told.what) {
    case "report":
      if (!running.delete(told.report.fence)) return; // lost meanwhile: nobody wants to hear
      progress.delete(told.report.fence);
      reports.push(told.report);
      break;
    case "progress":
      if (running.has(told.word.fence)) progress.set(told.word.fence, told.word);
      break;
    case "slots":
      slots = told.slots;
      if (registered) say("ready", { slots });
      break;
    case "close":
      closing = true;
      running.clear(); // what still runs goes back with the goodbye
      setTimeout(() => end("the server did not confirm the last reports"), GOODBYE_MS).unref();
      if (!registered && isDone()) return end(null);
      break;
  }
  flush();
});

connect();
