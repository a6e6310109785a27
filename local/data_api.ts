/**
 * The Data and Auth API in a process of its own: @supabase/lite on the stack's Postgres, mended where it would hide a
 * bug that the platform shows. Started by the stack, with {@linkcode DataApiSettings} as JSON in TRUETICK_DATA_API.
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
// First: lite finds the driver, its optional peer, only when it is in the module graph by then.
import postgres from "postgres";
import { App } from "@supabase/lite";
import { createPostgresConnection } from "@supabase/lite/postgres";
import { z } from "zod";
import { announceReady, endWithParent, logOncePerSecond } from "./child_side.ts";
import { postgrestTypes } from "./data_api_types.ts";
import { encodeJsonArguments } from "./json_arguments.ts";
import { toPostgrestAnswer } from "./postgrest_errors.ts";
import { createQuerySlots, isConnectionError } from "./query_slots.ts";
import { rpcContextQuery, type RpcRequest, type Session, sessionContextQuery } from "./session_context.ts";
import { pause, within } from "./within.ts";

/** What the stack tells this process. */
export const dataApiSettings = z.object({
  databaseUrl: z.string(),
  port: z.number(),
  siteUrl: z.string(),
  jwtSecret: z.string(),
  publishableKey: z.string(),
  secretKey: z.string(),
  maxRows: z.number(),
});

/** See {@linkcode dataApiSettings}. */
export type DataApiSettings = z.infer<typeof dataApiSettings>;

/** The tests run fifty sessions at once, some of which wait for a lock that another of them holds. */
const CONNECTIONS = 80;
/** Longer than the 8 s a statement may take and the 10 s it may wait for a connection. */
const ANSWER_TIMEOUT_MS = 25_000;
const RELOAD_RETRY_MS = 200;

/** What went wrong while a request was served. */
interface Trouble {
  /** What lite or the driver threw, if it was the database. */
  error: unknown;
  /** What lite printed. */
  words: string;
}

const request = new AsyncLocalStorage<Trouble>();

if (import.meta.main) {
  endWithParent();
  // lite prints every refused statement with a page of stack; failures are logged below, one line each.
  Object.assign(console, { error: (...words: unknown[]) => note(words), warn: () => {} });
  await serve(dataApiSettings.parse(JSON.parse(Deno.env.get("TRUETICK_DATA_API") ?? "null")));
}

async function serve(settings: DataApiSettings): Promise<void> {
  const { app, reload } = await createApi(settings);
  Deno.serve(
    { hostname: "127.0.0.1", port: settings.port, onListen: ({ port }) => announceReady(port) },
    (incoming) => {
      const path = new URL(incoming.url).pathname;
      // Reachable on this internal port alone: the front door passes /rest/v1 and /auth/v1.
      if (path === "/-/reload") return reload().then(() => new Response(null, { status: 204 }));
      return answer(app, incoming, path);
    },
  );
}

async function answer(app: App, incoming: Request, path: string): Promise<Response> {
  const store: Trouble = { error: null, words: "" };
  // No peer address: admin mode, which makes keyless requests service_role, stays shut.
  const fetched = request.run(store, () => app.fetch(incoming, { peerAddress: null }));
  const response = await within(fetched, ANSWER_TIMEOUT_MS, null);
  if (response === null) {
    return Response.json({ code: "TIMEOUT", message: `No answer within ${ANSWER_TIMEOUT_MS / 1000} s` }, {
      status: 504,
    });
  }
  if (response.status < 400) return response;
  const mends = store.error !== null && (path.startsWith("/rest/v1/") || isConnectionError(store.error));
  const answered = mends ? await toPostgrestAnswer(store.error, response) : response;
  if (answered.status >= 500) {
    const reason = store.error === null ? store.words : textOf(store.error);
    logOncePerSecond(`${incoming.method} ${path} ${answered.status}: ${reason}`);
  }
  return answered;
}

async function createApi(settings: DataApiSettings): Promise<{ app: App; reload: () => Promise<void> }> {
  const connection = createPostgresConnection({ url: settings.databaseUrl });
  type Executor = typeof connection.kysely;
  type Ast = Parameters<typeof connection.onPostgrestAST>[0];
  const checkRelation = connection.onPostgrestAST.bind(connection);
  const slots = createQuerySlots(settings.databaseUrl, CONNECTIONS, {
    applicationName: "data_api",
    types: postgrestTypes,
    onConnectionError: remember,
  });
  Object.assign(connection.driver, { reserve: slots.reserve });
  // local/platform.sql has the platform's auth functions; lite's read fewer claims.
  connection.config.baseSchema = "";
  Object.assign(connection, {
    // lite's own grants everything on every table of a schema with RLS to anon: a missing `revoke` would go unseen.
    ensureRlsContext: () => Promise.resolve(true),
    // lite's own take ten round trips a request, know no claims for keys, and set no bound on a statement.
    applyJwtSessionContext: (db: Executor, session: Session) => db.executeQuery(sessionContextQuery(session)),
    applyRpcRequestGucs: (db: Executor, rpc: RpcRequest) => db.executeQuery(rpcContextQuery(rpc)),
    normalizeDbError: remember,
    onPostgrestAST: async (ast: Ast) => {
      const { functions } = await connection.introspect({ useCache: true });
      const args = encodeJsonArguments(ast, functions ?? []);
      return await checkRelation(args === null ? ast : { ...ast, args });
    },
  });

  const app = new App({
    connection,
    api: { schemas: ["public"], max_rows: settings.maxRows },
    auth: {
      enabled: true,
      site_url: settings.siteUrl,
      jwt_secret: settings.jwtSecret,
      publishable_key: settings.publishableKey,
      secret_key: settings.secretKey,
      email: { enable_signup: true, enable_confirmations: false },
    },
    db: { migrations: { enabled: false } },
    studio: { enabled: false },
    options: { server: { admin: false, disableStudio: true } },
  });
  await app.ensureSystemSchema();
  const reload = async () => {
    slots.renew();
    await connection.introspect();
  };
  await reload();
  await followReloads(settings.databaseUrl, reload);
  return { app, reload };
}

function note(words: unknown[]): void {
  const store = request.getStore();
  if (store) store.words = words.map(textOf).join(" ");
}

/** Keeps an error for the answer to the request that it happened in. */
function remember(error: unknown): unknown {
  const store = request.getStore();
  if (store) store.error = error;
  return error;
}

/** Reads the schema again whenever the database says that it changed, and after every outage. */
async function followReloads(url: string, reload: () => Promise<void>): Promise<void> {
  const options = {
    max: 1,
    fetch_types: false,
    max_lifetime: null,
    connection: { application_name: "data_api_reload" },
    onnotice: () => {},
    onnotify: coalesce(reload),
    onclose: () => void resume(),
  };
  let resumed = false;
  const resume = async () => {
    if (resumed) return;
    resumed = true;
    await sql.end({ timeout: 0 });
    await pause(RELOAD_RETRY_MS);
    // Refused again: the next attempt is that client's own.
    await followReloads(url, reload).then(reload).catch(() => {});
  };
  const sql = postgres(url, options);
  await sql`listen pgrst`;
}

/** A migration says so once a statement: one read follows, after the last. */
function coalesce(work: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(() => void work().catch((error) => logOncePerSecond(`schema: ${textOf(error)}`)), 50);
  };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
