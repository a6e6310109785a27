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

Deno.test("fill message takes a text in Meta's words as well", () => {
  const filled = fillMessage({ text: { body: "Hi {{name}}", preview_url: true } }, { name: "Ana" });
  assert.deepEqual(filled, { ok: true, message: { type: "text", text: { body: "Hi Ana", preview_url: true } } });
  assert.equal(code(fillMessage({ type: "text", text: { body: " " } }, {})), "invalid_content");
  assert.equal(code(fillMessage({ type: "text", text: { preview_url: true } }, {})), "invalid_content");
});

Deno.test("fill message hands any other content on with all of its texts filled in", () => {
  const content = {
    type: "image",
    image: { link: "https://x/{{file}}.jpg", caption: "For {{ name }}", sizes: [1, true, null, "{{n}}"] },
  };
  assert.deepEqual(fillMessage(content, { file: "a", name: "Ana", n: 2 }), {
    ok: true,
    message: { type: "image", image: { link: "https://x/a.jpg", caption: "For Ana", sizes: [1, true, null, "2"] } },
  });
  assert.deepEqual(fillMessage({ image: { url: "u" } }, {}), { ok: true, message: { image: { url: "u" } } });
  const missing = fillMessage(content, { file: "a" });
  assert.equal(missing.ok ? "" : missing.errorMessage, "no value for {{name}}, {{n}} among the recipient's variables");
});

Deno.test("fill message fills the components of a template, and takes its language as a plain text", () => {
  const components = [{ type: "header", parameters: [{ type: "image", image: { link: "https://x/{{file}}" } }] }, {
    type: "body",
    parameters: [{ type: "text", parameter_name: "first", text: "{{name}}" }],
  }];
  const filled = [{ type: "header", parameters: [{ type: "image", image: { link: "https://x/a.jpg" } }] }, {
    type: "body",
    parameters: [{ type: "text", parameter_name: "first", text: "Ana" }],
  }];
  const expected = { type: "template", template: { name: "offer", language: { code: "en_US" }, components: filled } };
  for (const language of ["en_US", { code: "en_US" }]) {
    for (
      const content of [{ type: "template", template: { name: "offer", language, components } }, {
        type: "template",
        name: "offer",
        language,
        components,
      }]
    ) {
      assert.deepEqual(fillMessage(content, { file: "a.jpg", name: "Ana" }), { ok: true, message: expected });
    }
  }
  assert.equal(code(fillMessage(expected, {})), "ok");
  assert.equal(
    code(fillMessage({ type: "template", name: "offer", language: "en", components }, {})),
    "missing_variable",
  );
});

Deno.test("fill message makes the body of a template out of its parameters", () => {
  const given = { type: "currency", currency: { fallback_value: "$1", code: "USD", amount_1000: 1000 } };
  const content = { type: "template", name: "offer", language: "{{lang}}", parameters: ["{{name}}", "x", 3, given] };
  assert.deepEqual(fillMessage(content, { name: "Ana", lang: "de" }), {
    ok: true,
    message: {
      type: "template",
      template: {
        name: "offer",
        language: { code: "de" },
        components: [{
          type: "body",
          parameters: [{ type: "text", text: "Ana" }, { type: "text", text: "x" }, { type: "text", text: "3" }, given],
        }],
      },
    },
  });
});

Deno.test("fill message sends a template without components as it is, keeping what else Meta may know", () => {
  assert.deepEqual(fillMessage({ type: "template", name: "hello", language: "en_US" }, {}), {
    ok: true,
    message: { type: "template", template: { name: "hello", language: { code: "en_US" } } },
  });
  const full = {
    type: "template",
    template: { name: "hello", language: { code: "en_US", policy: "deterministic" }, namespace: "n" },
    context: { message_id: "wamid.1" },
  };
  assert.deepEqual(fillMessage(full, {}), { ok: true, message: full });
});

Deno.test("fill message refuses a template without a name or a language", () => {
  for (
    const content of [
      { type: "template" },
      { type: "template", template: null },
      { type: "template", template: "offer" },
      { type: "template", template: { name: "offer" } },
      { type: "template", template: { language: "en_US" } },
      { type: "template", name: " ", language: "en_US" },
      { type: "template", name: "offer", language: {} },
      { type: "template", name: "offer", language: "en_US", parameters: "{{name}}" },
      { type: "template", name: "offer", language: "en_US", components: {} },
    ]
  ) {
    assert.equal(code(fillMessage(content, {})), "invalid_content", JSON.stringify(content));
  }
});

Deno.test("fill message survives content of any depth", () => {
  const content = JSON.parse(`{"type":"odd","v":${"[".repeat(50_000)}${"]".repeat(50_000)}}`);
  assert.ok(fillMessage(content, content).ok);
  assert.equal(code(text("{{v}}", content)), "missing_variable");
});
