import { sqlState } from "../command/sql_state.ts";

/** Errors that say nothing about what was asked: connection, login, lost races, missing objects, resources, the server itself. */
const NOT_THE_EVENTS_FAULT = /^(08|28|40|42|53|55|57|58|XX)/;

/** The SQLSTATE with which the database refused an event; null for an error that is not the event's fault. */
export function refusalOf(error: unknown): string | null {
  const state = sqlState(error);
  return state === null || NOT_THE_EVENTS_FAULT.test(state) ? null : state;
}
