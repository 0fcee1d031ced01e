// A worker for a beaver_actors server: runs handlers and reports how they ended. The connection has a thread of its
// own (`link.js`); what every worker must do stands in docs/protocol.md of the server, under "Workers".

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { Worker as Thread } from "node:worker_threads";

/** Throw it to have the attempt counted as failed and run again after `delay` (seconds, or "30s"). */
export class Retry extends Error {
  constructor(delay, message = "the handler asked to be run again") {
    super(message);
    this.delay = delay;
  }
}

/** Throw it to have the job run again later; no attempt is used. */
export class Snooze extends Error {
  constructor(delay) {
    super(`the handler asked to be run again in ${delay}`);
    this.delay = delay;
  }
}

/** Throw it where no retry can help. */
export class Reject extends Error {}

export class Worker {
  /**
   * @param {object} options url, token, handlers ({kind: async (args, context) => result}), queues
   *   ({name: weight}, all if left out), concurrency (4), graceMs (30000).
   */
  constructor({ url, token = null, handlers, queues = undefined, concurrency = 4, graceMs = 30_000 }) {
    this.handlers = handlers;
    this.graceMs = graceMs;
    this.running = new Map(); // fence -> AbortController
    this.draining = false;
    this.idle = () => {};
    const registration = {
      worker_id: `${hostname()}:${process.pid}:${randomBytes(8).toString("hex")}`, // new for each start
      kinds: Object.keys(handlers),
      queues,
      slots: concurrency,
      host: hostname().slice(0, 200),
      pid: process.pid,
      version: "node-worker/0.1.0",
    };
    this.thread = new Thread(new URL("./link.js", import.meta.url), { workerData: { url, token, registration } });
    this.ended = new Promise((resolve, reject) => {
      this.thread.on("message", (told) => this.heard(told, resolve, reject));
      this.thread.on("error", reject);
    });
  }

  heard(told, resolve, reject) {
    switch (told.what) {
      case "leased":
        for (const job of told.jobs) this.begin(job);
        break;
      case "stop":
        for (const fence of [...told.lost, ...told.cancel]) this.running.get(fence)?.abort("stopped");
        break;
      case "late":
        console.error(`too late: the lease of job ${told.receipt.job_id} is lost`);
        break;
      case "ended":
        if (told.problem) reject(new Error(told.problem));
        else resolve();
        break;
    }
  }

  async begin(job) {
    if (this.draining) return this.report(job, { outcome: "released" });
    const controller = new AbortController();
    this.running.set(job.fence, controller);
    const timer = job.timeout === null ? null : setTimeout(() => controller.abort("timed_out"), job.timeout * 1000);
    const aborted = new Promise((resolve) => {
      controller.signal.addEventListener("abort", () => resolve({ outcome: controller.signal.reason }));
    });
    const ending = await Promise.race([this.run(job, controller.signal), aborted]);
    clearTimeout(timer);
    this.running.delete(job.fence);
    if (ending.outcome === "timed_out") {
      ending.error = { type: "Timeout", message: `the attempt ran longer than its timeout of ${job.timeout} s` };
    }
    this.report(job, ending);
    if (!this.running.size) this.idle();
  }

  async run(job, signal) {
    const context = {
      jobId: job.job_id,
      attempt: job.attempt,
      fence: job.fence, // grows with every lease: a late writer can be told by it
      signal, // aborted when the attempt is cancelled, lost, or out of time
      progress: (value) =>
        this.thread.postMessage({ what: "progress", word: { job_id: job.job_id, fence: job.fence, progress: value } }),
    };
    try {
      const result = await this.handlers[job.kind](job.args, context);
      return { outcome: "succeeded", result: result ?? null };
    } catch (error) {
      if (error instanceof Snooze) return { outcome: "snoozed", delay: error.delay };
      const told = {
        type: error?.constructor?.name?.slice(0, 200) || "Error",
        message: String(error?.message ?? error).slice(0, 10_000),
        traceback: String(error?.stack ?? "").slice(0, 20_000),
      };
      if (error instanceof Reject) return { outcome: "rejected", error: told };
      if (error instanceof Retry) return { outcome: "failed", error: told, delay: error.delay };
      return { outcome: "failed", error: told };
    }
  }

  report(job, ending) {
    this.thread.postMessage({ what: "report", report: { job_id: job.job_id, fence: job.fence, ...ending } });
  }

  /** Take no more jobs, let running ones finish for the grace, give the rest back, and say goodbye. */
  async stop() {
    if (this.draining) return this.hurry?.();
    this.draining = true;
    this.thread.postMessage({ what: "slots", slots: 0 });
    if (this.running.size) {
      await new Promise((resolve) => {
        this.idle = this.hurry = resolve;
        setTimeout(resolve, this.graceMs).unref();
      });
    }
    for (const controller of this.running.values()) controller.abort("released");
    while (this.running.size) await new Promise((resolve) => (this.idle = resolve));
    this.thread.postMessage({ what: "close" });
  }
}
