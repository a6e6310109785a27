/** What a failed call of the database asks for: try at once again, later, or a person. */
export type DatabaseErrorClass = "retry" | "unavailable" | "fault";

/** Lost a race against another transaction; nothing was done, and the next try wins or loses a new race. */
const LOST_RACES = new Set(["40001", "40P01"]);

/** Beside the classes 08, 53 and 57P0x: a cancelled statement or lock wait, and a server that is read-only. */
const TRANSIENT = new Set(["57014", "55P03", "25006"]);

const SQLSTATE = /^[0-9A-Z]{5}$/;
const CONNECTION_LOST = /^(?:08...|53...|57P0.)$/;

/**
 * Sorts the answer to a failed rpc.
 *
 * @param status HTTP status of the answer; 0 when there was none (refused, reset, timed out).
 * @param code The SQLSTATE, or the API's own code (`PGRST…`), or a text of the layer below.
 */
export function classifyDatabaseError(status: number, code: string): DatabaseErrorClass {
  if (LOST_RACES.has(code)) return "retry";
  if (CONNECTION_LOST.test(code) || TRANSIENT.has(code)) return "unavailable";
  // any other SQLSTATE is an answer of the database, which therefore is there
  if (SQLSTATE.test(code)) return "fault";
  // PGRST000 to PGRST003: the API cannot reach its database, or waits for its pool or its schema cache
  if (/^PGRST00[0-3]$/.test(code)) return "unavailable";
  return status === 0 || status === 408 || status === 429 || (status >= 500 && !code.startsWith("PGRST"))
    ? "unavailable"
    : "fault";
}
