import postgres from "postgres";
import { jsonTextParameters } from "./json_arguments.ts";
import { within } from "./within.ts";

/** One connection, held by one transaction from its `begin` to its `commit`. */
export interface QuerySlot {
  unsafe(text: string, parameters: postgres.ParameterOrJSON<never>[]): Promise<postgres.RowList<postgres.Row[]>>;
  release(): void;
}

/** A pool whose slots never outlive their connection. */
export interface QuerySlots {
  /**
   * Hands out a free connection.
   *
   * @throws PoolExhaustedError when none is free in time
   */
  reserve(): Promise<QuerySlot>;
  /** Every connection is opened anew before its next use: prepared statements forget the old schema. */
  renew(): void;
}

/** A connection was lost inside a transaction: nothing of it may go on over a new one. */
export class ConnectionLostError extends Error {
  readonly code = "CONNECTION_CLOSED";
}

/** All connections stayed busy. */
export class PoolExhaustedError extends Error {
  readonly code = "POOL_EXHAUSTED";
}

/** What each connection is opened with. */
export interface SlotOptions {
  readonly applicationName: string;
  readonly types: Record<string, postgres.PostgresType>;
  /** Told of every connection error. */
  readonly onConnectionError: (error: unknown) => void;
}

const TEXT_OID = 25;
const ACQUIRE_TIMEOUT_MS = 10_000;

/**
 * Why not the driver's own `reserve`: when the database goes away, a reserved connection of postgres.js writes to a
 * socket that is null (the process dies of it), and a refused `reserve` stays in the queue, so that a later connection is
 * handed to nobody, for good. Here each slot is a client of one connection that is thrown away with it.
 *
 * @param size connections at most; opened on demand
 */
export function createQuerySlots(url: string, size: number, options: SlotOptions): QuerySlots {
  const idle: Slot[] = [];
  const waiting: ((slot: Slot) => void)[] = [];
  let opened = 0;
  let generation = 0;

  class Slot {
    #client: postgres.Sql | null = null;
    #generation = 0;
    #lost = false;

    /** Called at the start of a reservation, never inside one. */
    prepare(): void {
      if (this.#client !== null && !this.#lost && this.#generation === generation) return;
      this.#client?.end({ timeout: 0 }).catch(() => {});
      this.#lost = false;
      this.#generation = generation;
      const client = postgres(url, {
        types: options.types,
        connection: { TimeZone: "UTC", application_name: options.applicationName },
        connect_timeout: 5,
        max: 1,
        // The driver would end a connection that is old enough between two statements of a transaction.
        max_lifetime: null,
        onnotice: () => {},
        onclose: () => {
          if (this.#client === client) this.#lost = true;
        },
      });
      this.#client = client;
    }

    run(text: string, parameters: postgres.ParameterOrJSON<never>[]): Promise<postgres.RowList<postgres.Row[]>> {
      if (this.#client === null || this.#lost) {
        const error = new ConnectionLostError("The connection to the database was lost inside a transaction");
        options.onConnectionError(error);
        return Promise.reject(error);
      }
      // Prepared like PostgREST's: one round trip instead of two. Text without parameters goes as a simple query.
      const prepare = parameters.length > 0;
      const client = this.#client;
      const jsonTexts = jsonTextParameters(text);
      const values = jsonTexts.size === 0
        ? parameters
        : parameters.map((value, index) =>
          typeof value === "string" && jsonTexts.has(index + 1) ? client.typed(value, TEXT_OID) : value
        );
      const query = client.unsafe(text, values, { prepare });
      return query.catch((error: unknown) => {
        if (isConnectionError(error)) {
          this.#lost = true;
          options.onConnectionError(error);
        }
        throw error;
      });
    }
  }

  const give = (slot: Slot) => {
    const next = waiting.shift();
    if (next) next(slot);
    else idle.push(slot);
  };

  const take = async (): Promise<Slot> => {
    const free = idle.pop();
    if (free) return free;
    if (opened < size) {
      opened++;
      return new Slot();
    }
    const { promise, resolve } = Promise.withResolvers<Slot>();
    waiting.push(resolve);
    const slot = await within(promise, ACQUIRE_TIMEOUT_MS, null);
    if (slot !== null) return slot;
    waiting.splice(waiting.indexOf(resolve), 1);
    throw new PoolExhaustedError(`All ${size} database connections stayed busy for ${ACQUIRE_TIMEOUT_MS / 1000} s`);
  };

  return {
    async reserve() {
      const slot = await take();
      slot.prepare();
      let released = false;
      return {
        unsafe: (text, parameters) => slot.run(text, parameters),
        release() {
          if (released) return;
          released = true;
          give(slot);
        },
      };
    },
    renew() {
      generation++;
    },
  };
}

/** True for errors of the connection itself, among them those of a server that is starting or stopping. */
export function isConnectionError(error: unknown): boolean {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  return /^(CONNECT|ECONN|EPIPE|ENOTCONN|ETIMEDOUT|EHOST|ENET|57P0[1-5]$|08)/.test(code);
}
