/** One value of a metric. */
interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A gauge: a value that goes up and down. Nothing here is counted in a function's memory, which comes and goes. */
export interface Metric {
  /** `truetick_…`, with its unit at the end. */
  readonly name: string;
  /** One sentence. */
  readonly help: string;
  /** Each with labels of its own; a metric without samples is left out. */
  readonly samples: readonly Sample[];
}

/**
 * Metrics in Prometheus' text format 0.0.4. Written here, since prom-client keeps a registry of what one process counted
 * and brings Node's internals along, and a snapshot of the database needs neither.
 */
export function prometheusText(metrics: readonly Metric[]): string {
  return metrics.filter(({ samples }) => samples.length > 0).map(({ name, help, samples }) =>
    [
      `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
      `# TYPE ${name} gauge`,
      ...samples.map(({ labels, value }) => `${name}${labelText(labels)} ${numberText(value)}`),
      "",
    ].join("\n")
  ).join("");
}

function labelText(labels: Readonly<Record<string, string>> = {}): string {
  const pairs = Object.entries(labels).map(([name, value]) =>
    `${name}="${value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"')}"`
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  return String(value);
}
