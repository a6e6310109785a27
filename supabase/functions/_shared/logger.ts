import { cutPhoneNumbers } from "./cut_phone_numbers.ts";

/** What a log line may hold beside its event: flat, and never a body or a secret. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export type LogLevel = "info" | "warn" | "error";

/** Longer texts are cut: the platform drops lines above 10,000 characters. */
const MAX_TEXT = 500;

/** Writes one JSON line per event, with the function's name and the request's id in each. */
export class Logger {
  readonly #base: LogFields;
  readonly #write: (line: string) => void;

  /**
   * @param base Fields of every line: `function`, `request_id`.
   * @param write Takes a finished line; the console by default.
   */
  // deno-lint-ignore no-console -- the one place that writes to the console
  constructor(base: LogFields, write: (line: string) => void = (line) => console.log(line)) {
    this.#base = base;
    this.#write = write;
  }

  info(event: string, fields: LogFields = {}): void {
    this.#line("info", event, fields);
  }

  warn(event: string, fields: LogFields = {}): void {
    this.#line("warn", event, fields);
  }

  error(event: string, fields: LogFields = {}): void {
    this.#line("error", event, fields);
  }

  #line(level: LogLevel, event: string, fields: LogFields): void {
    const line: Record<string, string | number | boolean | null | undefined> = {
      at: new Date().toISOString(),
      level,
      ...this.#base,
      event,
    };
    for (const [name, value] of Object.entries(fields)) {
      line[name] = typeof value === "string" ? cutPhoneNumbers(value).slice(0, MAX_TEXT) : value;
    }
    this.#write(JSON.stringify(line));
  }
}
