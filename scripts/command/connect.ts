import postgres from "postgres";

/** A database that a command works on. */
export type Sql = postgres.Sql;
/** The same within a transaction. */
export type Transaction = postgres.TransactionSql;

/** How a database is connected to. */
export interface ConnectOptions {
  /** How many at most; default 1. */
  readonly connections?: number;
  /** Told what the database says beside its answers; default: nobody. */
  readonly onNotice?: (notice: postgres.Notice) => void;
}

/** Connects to a database, at the first query. */
export function connect(databaseUrl: string, { connections = 1, onNotice = () => {} }: ConnectOptions = {}): Sql {
  return postgres(databaseUrl, {
    max: connections,
    connect_timeout: 10,
    // a pooler between us and the database may hand out another session each time
    prepare: false,
    onnotice: onNotice,
  });
}
