/**
 * Clients in a thread of their own; asked through {@linkcode clientRequest}.
 *
 * @module
 */
import { connect } from "../database.ts";
import { serveThread } from "../thread.ts";
import { type ClientPlan, clientRequest } from "./plan.ts";

/** One connection. */
interface Client {
  work(input: string): Promise<unknown>;
  close(): Promise<void>;
}

const ANSWER_TIMEOUT_MS = 30_000;

let clients: Client[] = [];

serveThread(async (message) => {
  const request = clientRequest.parse(message);
  switch (request.do) {
    case "open": {
      const { plan } = request;
      clients = Array.from({ length: plan.clients }, () => open(plan));
      return null;
    }
    case "run": {
      let next = 0;
      await Promise.all(clients.map(async (client) => {
        for (let input = request.inputs[next++]; input !== undefined; input = request.inputs[next++]) {
          await client.work(input);
        }
      }));
      return null;
    }
    case "close": {
      await Promise.all(clients.map((client) => client.close()));
      return null;
    }
  }
});

function open(plan: ClientPlan): Client {
  switch (plan.kind) {
    case "record_receipts": {
      const sql = connect(plan.url, 1, plan.settings);
      return {
        work: (input) => sql.unsafe("select public.record_receipts($1::text::jsonb)", [input], { prepare: true }),
        close: () => sql.end({ timeout: 5 }),
      };
    }
    case "read_then_write": {
      const sql = connect(plan.url, 1);
      return {
        async work(input) {
          const [row] = await sql<{ delivered_count: number }[]>`
            select delivered_count from bench.groups where message_id = ${input}
          `;
          await sql`
            update bench.groups set delivered_count = ${(row?.delivered_count ?? 0) + 1} where message_id = ${input}
          `;
        },
        close: () => sql.end({ timeout: 5 }),
      };
    }
    case "post":
      return {
        async work(input) {
          const response = await fetch(plan.url, {
            method: "POST",
            headers: plan.headers,
            body: input,
            signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
          });
          const text = await response.text();
          if (!response.ok) throw new Error(`${plan.url} answered ${response.status}: ${text.slice(0, 300)}`);
        },
        close: () => Promise.resolve(),
      };
  }
}
