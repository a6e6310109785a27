/** Who a request runs as. */
export interface Session {
  readonly auth?: { readonly role?: string; readonly jwt?: unknown };
}

/** The HTTP side of a call, which functions read through `current_setting`. */
export interface RpcRequest {
  readonly method: string;
  readonly path: string;
  readonly requestHeaders?: Readonly<Record<string, string>>;
}

/** A statement in the form lite's query builder runs. */
export interface ContextQuery {
  readonly sql: string;
  readonly parameters: readonly unknown[];
  readonly query: { readonly kind: "RawNode"; readonly sqlFragments: readonly string[]; readonly parameters: [] };
  readonly queryId: { readonly queryId: string };
}

/** The platform's bounds: `anon` 3 s, everybody else the `authenticator`'s 8 s. */
const STATEMENT_TIMEOUT_BY_ROLE: Readonly<Record<string, string>> = { anon: "3s" };
const STATEMENT_TIMEOUT = "8s";

/**
 * The statement that opens a request's transaction: role, claims and time limit, as PostgREST sets them. A key has
 * claims too: the platform's gateway turns it into a token of its role.
 */
export function sessionContextQuery(session: Session): ContextQuery {
  const role = session.auth?.role ?? "anon";
  const claims = session.auth?.jwt ?? { role };
  return contextQuery(
    "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true), " +
      "set_config('statement_timeout', $3, true)",
    [role, JSON.stringify(claims), STATEMENT_TIMEOUT_BY_ROLE[role] ?? STATEMENT_TIMEOUT],
  );
}

/** The statement that tells a function about the request it serves, and clears what it may answer. */
export function rpcContextQuery(rpc: RpcRequest): ContextQuery {
  return contextQuery(
    "select set_config('request.method', $1, true), set_config('request.path', $2, true), " +
      "set_config('request.headers', $3, true), set_config('response.status', '', true), " +
      "set_config('response.headers', '', true)",
    [rpc.method, rpc.path, JSON.stringify(rpc.requestHeaders ?? {})],
  );
}

function contextQuery(sql: string, parameters: readonly unknown[]): ContextQuery {
  return {
    sql,
    parameters,
    query: { kind: "RawNode", sqlFragments: [sql], parameters: [] },
    queryId: { queryId: sql },
  };
}
