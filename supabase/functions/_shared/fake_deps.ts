// For tests: the dependencies of a handler, without a database, a network or a clock of their own.
import { type Clock, systemClock } from "./clock.ts";
import type { Deps } from "./deps.ts";
import { Environment } from "./environment.ts";
import { Logger } from "./logger.ts";
import type { Result } from "./result.ts";
import type { Rpc } from "./rpc.ts";

/** A call of the database that was made. */
export interface RpcCall {
  readonly name: string;
  readonly args: unknown;
  /** Where it was made with the rights of a user. */
  readonly accessToken?: string;
}

/** Answers a call of the database; throws nothing. */
export type FakeRpc = (name: string, args: unknown) => Result<unknown> | Promise<Result<unknown>>;

/** The dependencies, and what was done through them. */
export interface FakeDeps extends Deps {
  /** Calls of the database, in order. */
  readonly calls: RpcCall[];
  /** Lines of the log. */
  readonly lines: string[];
}

/** What a test sets; the rest does nothing. */
export interface FakeDepsOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly rpc?: FakeRpc;
  readonly clock?: Clock;
  readonly fetch?: typeof fetch;
  readonly shutdown?: AbortSignal;
}

/** Makes the dependencies of one handler. */
export function fakeDeps(options: FakeDepsOptions = {}): FakeDeps {
  const calls: RpcCall[] = [];
  const lines: string[] = [];
  const variables = options.environment ?? {};
  const callOf = (accessToken?: string): Rpc => async (name, args) => {
    calls.push({ name, args, ...accessToken === undefined ? {} : { accessToken } });
    return options.rpc === undefined ? { ok: true, value: null } : await options.rpc(name, args);
  };
  return {
    calls,
    lines,
    environment: new Environment((name) => variables[name]),
    clock: options.clock ?? systemClock,
    fetch: options.fetch ?? (() => Promise.reject(new Error("this test has no network"))),
    log: new Logger({ function: "test" }, (line) => lines.push(line)),
    shutdown: options.shutdown ?? new AbortController().signal,
    rpc: callOf(),
    rpcAs: callOf,
  };
}
