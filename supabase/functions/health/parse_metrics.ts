// For tests: reads Prometheus' text format 0.0.4 as strictly as Prometheus does.

/** A value as it was read. */
export interface ParsedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const HELP = /^# HELP ([a-zA-Z_:][\w:]*) ((?:[^\\]|\\\\|\\n)*)$/;
const TYPE = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram|summary|untyped)$/;
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;

/**
 * Reads metrics.
 *
 * @throws Error naming the line: one that is none, a name used twice or without its type, a series given twice
 */
export function parseMetrics(text: string): ParsedSample[] {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const samples: ParsedSample[] = [];
  const types = new Map<string, string>();
  const helps = new Set<string>();
  const series = new Set<string>();
  const done = new Set<string>();
  let current = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const help = HELP.exec(line)?.[1];
    const type = TYPE.exec(line);
    if (help !== undefined) {
      if (helps.has(help)) throw new Error(`a second HELP: ${line}`);
      helps.add(help);
      continue;
    }
    if (type !== null) {
      const [, name = "", kind = ""] = type;
      if (types.has(name)) throw new Error(`a second TYPE: ${line}`);
      types.set(name, kind);
      continue;
    }
    const [, name, labelText = "", valueText = ""] = SAMPLE.exec(line) ?? [];
    if (name === undefined) throw new Error(`no metric: ${line}`);
    if (!types.has(name)) throw new Error(`no TYPE before: ${line}`);
    if (name !== current) {
      if (done.has(name)) throw new Error(`not together with the others of its name: ${line}`);
      done.add(name);
      current = name;
    }
    const labels = parseLabels(labelText, line);
    const key = `${name} ${JSON.stringify(Object.entries(labels).sort())}`;
    if (series.has(key)) throw new Error(`given twice: ${line}`);
    series.add(key);
    const value = valueText === "+Inf" ? Infinity : valueText === "-Inf" ? -Infinity : Number(valueText);
    if (Number.isNaN(value) && valueText !== "NaN") throw new Error(`no number: ${line}`);
    samples.push({ name, labels, value });
  }
  return samples;
}

function parseLabels(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const match = LABEL.exec(text);
    if (match === null) throw new Error(`no labels: ${line}`);
    const [, name = "", value = ""] = match;
    if (name in labels) throw new Error(`a label twice: ${line}`);
    labels[name] = value.replaceAll(/\\(.)/g, (_, escaped) => escaped === "n" ? "\n" : escaped);
  }
  return labels;
}
