import assert from "node:assert/strict";
import { fillMessage } from "./fill_message.ts";

const text = (text: string, variables: unknown = {}) => fillMessage({ type: "text", text }, variables);
const code = (filled: ReturnType<typeof fillMessage>) => filled.ok ? "ok" : filled.errorCode;

Deno.test("fill message puts each variable in its place", () => {
  const filled = text("Hi {{name}}, {{ n }} new, {{ok}}{{empty}}! {name}", { name: "Ana", n: 3, ok: true, empty: "" });
  assert.deepEqual(filled, { ok: true, message: { type: "text", text: "Hi Ana, 3 new, true! {name}" } });
  assert.deepEqual(fillMessage({ text: "plain" }, null), { ok: true, message: { type: "text", text: "plain" } });
});

Deno.test("fill message takes a value as it is, placeholders and replacement patterns included", () => {
  assert.deepEqual(text("{{a}}", { a: "{{b}} $& $1", b: "no" }), {
    ok: true,
    message: { type: "text", text: "{{b}} $& $1" },
  });
});

Deno.test("fill message refuses a message whose variable is missing, and names it", () => {
  for (const variables of [{}, { name: null }, { name: { first: "Ana" } }, { Name: "Ana" }, null, "Ana", []]) {
    const filled = text("Hi {{name}}", variables);
    assert.deepEqual(filled, {
      ok: false,
      errorCode: "missing_variable",
      errorMessage: "no value for {{name}} among the recipient's variables",
    });
  }
  assert.equal(code(text("{{toString}} {{__proto__}}", {})), "missing_variable");
  assert.equal(code(text("{{}}", { name: "Ana" })), "missing_variable");
});

Deno.test("fill message refuses a text that is missing or comes out empty", () => {
  for (const content of [{}, { type: "text" }, { text: 7 }, null, "Hello", [], { text: "" }, { text: "  " }]) {
    assert.equal(code(fillMessage(content, {})), "invalid_content", JSON.stringify(content));
  }
  assert.equal(code(text("{{a}}", { a: " " })), "invalid_content");
});

Deno.test("fill message hands any other content on as it is", () => {
  for (const content of [{ type: "image", url: "https://x/{{y}}", caption: "c" }, { image: { url: "u" } }]) {
    assert.deepEqual(fillMessage(content, {}), { ok: true, message: content });
  }
});

Deno.test("fill message survives content of any depth", () => {
  const content = JSON.parse(`{"type":"odd","v":${"[".repeat(50_000)}${"]".repeat(50_000)}}`);
  assert.ok(fillMessage(content, content).ok);
  assert.equal(code(text("{{v}}", content)), "missing_variable");
});
