import { EnvironmentError } from "./environment_error.ts";

/** Where variables are read from: `Deno.env` in a function, a plain lookup in a test. */
export type VariableSource = (name: string) => string | undefined;

const fromDeno: VariableSource = (name) => Deno.env.get(name);

/**
 * Everything the functions read from their environment; nothing else touches `Deno.env`.
 *
 * Each value is read when it is used, so that a variable missing for one task breaks that task alone, and never the
 * import of the module. Every method throws {@linkcode EnvironmentError} for a value it cannot use.
 */
export class Environment {
  readonly #source: VariableSource;

  constructor(source: VariableSource = fromDeno) {
    this.#source = source;
  }

  /** The value, or undefined when the variable is unset or blank. */
  optional(name: string): string | undefined {
    const value = this.#source(name)?.trim();
    return value === "" ? undefined : value;
  }

  /** The value; throws when the variable is unset or blank. */
  required(name: string): string {
    const value = this.optional(name);
    if (value === undefined) throw new EnvironmentError(name, "is not set; set it among the secrets of the functions");
    return value;
  }

  /** The entries of a comma-separated list; throws when there is none. More than one is a key being rotated. */
  list(name: string): readonly string[] {
    const entries = this.required(name).split(",").map((entry) => entry.trim()).filter((entry) => entry !== "");
    if (entries.length === 0) throw new EnvironmentError(name, "holds no entry; set at least one value");
    return entries;
  }

  /** An integer between `minimum` and `maximum`, or undefined when the variable is unset. */
  integer(name: string, minimum: number, maximum: number): number | undefined {
    const text = this.optional(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!Number.isInteger(value) || value < minimum || value > maximum) {
      throw new EnvironmentError(name, `must be an integer from ${minimum} to ${maximum}`);
    }
    return value;
  }

  /** An http or https address without a trailing slash. */
  url(name: string): string {
    const text = this.required(name);
    const url = URL.parse(text);
    if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
      throw new EnvironmentError(name, "must be an http or https address, such as https://gateway.example.com");
    }
    if (url.search !== "" || url.hash !== "") {
      throw new EnvironmentError(name, "must be a bare address, without a query or a fragment");
    }
    return url.href.replace(/\/+$/, "");
  }

  /**
   * An http or https address as it stands, its query included, or undefined when the variable is unset: the address of a
   * webhook of others, which is a secret as a whole.
   */
  secretAddress(name: string): string | undefined {
    const text = this.optional(name);
    if (text === undefined) return undefined;
    const url = URL.parse(text);
    if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
      throw new EnvironmentError(
        name,
        "must be an http or https address, such as https://hooks.example.com/services/…",
      );
    }
    if (url.username !== "" || url.password !== "") {
      throw new EnvironmentError(
        name,
        "must not hold a user name or a password; nothing can be posted to such an address",
      );
    }
    return url.href;
  }

  /**
   * The secret key of the database API: the entry `default`, else the first, of the JSON object in
   * `SUPABASE_SECRET_KEYS`; else the legacy `SUPABASE_SERVICE_ROLE_KEY`.
   */
  secretKey(): string {
    return this.#key("SUPABASE_SECRET_KEYS", "SUPABASE_SERVICE_ROLE_KEY", "sb_secret_…");
  }

  /**
   * The key with which anybody may speak to the database API, rights apart: as {@linkcode secretKey}, from
   * `SUPABASE_PUBLISHABLE_KEYS`, else the legacy `SUPABASE_ANON_KEY`.
   */
  publishableKey(): string {
    return this.#key("SUPABASE_PUBLISHABLE_KEYS", "SUPABASE_ANON_KEY", "sb_publishable_…");
  }

  #key(variable: string, legacyVariable: string, example: string): string {
    const text = this.optional(variable);
    if (text === undefined) {
      const legacy = this.optional(legacyVariable);
      if (legacy !== undefined) return legacy;
      throw new EnvironmentError(variable, `is not set, nor is ${legacyVariable}; set one`);
    }
    const keys = namedKeys(text);
    const key = keys.get("default") ?? keys.values().next().value;
    if (key === undefined) {
      throw new EnvironmentError(variable, `must be a JSON object such as {"default":"${example}"}`);
    }
    return key;
  }
}

/** Keys by name; empty for anything but a JSON object of strings. */
function namedKeys(text: string): Map<string, string> {
  const keys = new Map<string, string>();
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return keys;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return keys;
  for (const [name, key] of Object.entries(parsed)) {
    if (typeof key === "string" && key !== "") keys.set(name, key);
  }
  return keys;
}
