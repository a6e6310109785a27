/**
 * One engine in a thread of its own; asked through {@linkcode engineRequest}.
 *
 * @module
 */
import { serveThread } from "../thread.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { openGraphileWorker } from "./graphile_worker.ts";
import { openPgBoss } from "./pg_boss.ts";
import { type EngineName, engineRequest } from "./plan.ts";
import { openTruetick } from "./truetick.ts";
import { openTruetickContacts } from "./truetick_contacts.ts";

const open: Readonly<Record<EngineName, (options: EngineOptions) => Promise<Engine>>> = {
  "truetick": openTruetick,
  "truetick-contacts": openTruetickContacts,
  "graphile-worker": openGraphileWorker,
  "pg-boss": openPgBoss,
};

let engine: Engine | null = null;

serveThread(async (message) => {
  const request = engineRequest.parse(message);
  switch (request.do) {
    case "open":
      engine = await open[request.engine](request);
      return null;
    case "enqueue":
      return await engine?.enqueue(request.count);
    case "drain":
      return await engine?.drain(request.count);
    case "close":
      return await engine?.close();
  }
});
