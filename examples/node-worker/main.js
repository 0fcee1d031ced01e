// node main.js ws://127.0.0.1:7440 [queue=weight,...]: jobs of the kinds node.echo, node.thumbnail, node.fail.
// The token of the server, if it has one, stands in BEAVER_TOKEN.

import { setTimeout as sleep } from "node:timers/promises";
import { Reject, Retry, Snooze, Worker } from "./worker.js";

const [url = "ws://127.0.0.1:7440", queues] = process.argv.slice(2);

const handlers = {
  "node.echo": async (args) => args,

  "node.thumbnail": async ({ seconds }, context) => {
    for (let part = 1; part <= 10; part++) {
      context.progress({ percent: part * 10 });
      await sleep((seconds * 1000) / 10, undefined, { signal: context.signal });
    }
    return { seconds };
  },

  "node.block": async ({ seconds }) => {
    const until = Date.now() + seconds * 1000;
    while (Date.now() < until); // as no handler should; the lease is not lost for it
    return "unblocked";
  },

  "node.fail": async ({ how }, context) => {
    if (how === "reject") throw new Reject("never");
    if (how === "retry" && context.attempt === 1) throw new Retry(0.1, "once more");
    if (how === "snooze" && context.attempt === 1 && !process.snoozed) {
      process.snoozed = true;
      throw new Snooze(1);
    }
    if (how === "error") throw new TypeError("no good");
    return { attempt: context.attempt };
  },
};

const worker = new Worker({
  url,
  token: process.env.BEAVER_TOKEN ?? null,
  handlers,
  queues: queues && Object.fromEntries(queues.split(",").map((part) => part.split("=")).map(([name, weight]) => [name, Number(weight ?? 1)])),
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => worker.stop());

try {
  await worker.ended;
} catch (error) {
  console.error(String(error.message));
  process.exitCode = 1;
}
