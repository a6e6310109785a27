/**
 * Clients in a thread of their own; asked through {@linkcode clientRequest}.
 *
 * @module
 */
import { connect } from "../database.ts";
import { post } from "../post.ts";
import { serveThread } from "../thread.ts";
import { withSignature } from "../with_signature.ts";
import { type ClientPlan, clientRequest } from "./plan.ts";

/** One connection. */
interface Client {
  work(input: string): Promise<unknown>;
  close(): Promise<void>;
}

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
    case "statement": {
      const sql = connect(plan.url, 1, plan.settings);
      return {
        work: (input) => sql.unsafe(plan.statement, [input], { prepare: true }),
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
        work: (input) => post(plan.url, withSignature(plan.headers, input, plan.appSecret), input),
        close: () => Promise.resolve(),
      };
  }
}
