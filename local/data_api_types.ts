import type postgres from "postgres";

/** Values as PostgREST renders them: what `to_json` gives, not what the driver's text protocol gives. */
export const postgrestTypes = {
  bigint: text(20, Number),
  bytea: text(17, same),
  date: text(1082, same),
  json: json(114),
  jsonb: json(3802),
  // The driver leaves 1.10 a string, to keep its zero; in JSON it is a number.
  numeric: text(1700, (value) => Number.isFinite(Number(value)) ? Number(value) : value),
  time: text(1083, same),
  timestamp: text(1114, isoTime),
  timestamptz: text(1184, isoTime),
  timetz: text(1266, same),
} satisfies Record<string, postgres.PostgresType>;

/** `2026-11-22 17:05:00.5+00` is `2026-11-22T17:05:00.5+00:00` in JSON. */
function isoTime(value: string): string {
  return value.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00");
}

function same(value: string): string {
  return value;
}

function json(oid: number): postgres.PostgresType {
  return { to: oid, from: [oid], serialize: (value: unknown) => JSON.stringify(value), parse: JSON.parse };
}

function text<T>(oid: number, parse: (value: string) => T): postgres.PostgresType {
  return { to: oid, from: [oid], serialize: (value: unknown) => String(value), parse };
}
