import assert from "node:assert/strict";
import { parseMetrics } from "./parse_metrics.ts";
import { prometheusText } from "./prometheus_text.ts";

Deno.test("metrics are written with their help and type, and read as they were", () => {
  const text = prometheusText([
    { name: "truetick_up", help: "Whether.", samples: [{ value: 1 }] },
    { name: "truetick_senders", help: "By status.", samples: [{ labels: { status: "active", a: "b" }, value: 2.5 }] },
  ]);
  assert.equal(
    text,
    [
      "# HELP truetick_up Whether.",
      "# TYPE truetick_up gauge",
      "truetick_up 1",
      "# HELP truetick_senders By status.",
      "# TYPE truetick_senders gauge",
      'truetick_senders{status="active",a="b"} 2.5',
      "",
    ].join("\n"),
  );
});

Deno.test("metrics keep what a label or a help holds, whatever it is", () => {
  for (const odd of ['"', "\\", "\n", '\\n"}', "\\\\", '{a="b"} 1\n# TYPE x gauge', "ü ☎", "", " ", ","]) {
    const text = prometheusText([{ name: "m", help: odd, samples: [{ labels: { l: odd, k: odd }, value: 0 }] }]);
    assert.deepEqual(parseMetrics(text), [{ name: "m", labels: { l: odd, k: odd }, value: 0 }], JSON.stringify(odd));
  }
});

Deno.test("metrics write every number so that it is read as one", () => {
  const values = [0, -1, 1e21, 1e-9, 1_790_000_000.123, Infinity, -Infinity, NaN];
  const samples = values.map((value, place) => ({ labels: { place: `${place}` }, value }));
  const read = parseMetrics(prometheusText([{ name: "m", help: "Numbers.", samples }]));
  assert.deepEqual(read.map(({ value }) => value), values);
});

Deno.test("metrics without a sample are left out", () => {
  assert.equal(prometheusText([{ name: "m", help: "None.", samples: [] }]), "");
});

Deno.test("the parser of these tests refuses what Prometheus refuses", () => {
  const bad = [
    "m 1\n",
    "# TYPE m gauge\nm 1",
    "# TYPE m gauge\nm one\n",
    "# TYPE m gauge\nm 1\nm 2\n",
    '# TYPE m gauge\nm{a="1",a="2"} 1\n',
    '# TYPE m gauge\nm{a="\\x"} 1\n',
    '# TYPE m gauge\nm{a="1} 1\n',
    "# TYPE m gauge\n# TYPE m gauge\nm 1\n",
    '# TYPE m gauge\n# TYPE n gauge\nm{a="1"} 1\nn 1\nm 1\n',
    "# TYPE m gouge\nm 1\n",
    "\n",
  ];
  for (const text of bad) assert.throws(() => parseMetrics(text), Error, JSON.stringify(text));
});
