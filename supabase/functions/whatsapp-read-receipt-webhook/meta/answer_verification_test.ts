import assert from "node:assert/strict";
import { EnvironmentError } from "../../_shared/environment_error.ts";
import { fakeDeps } from "../../_shared/fake_deps.ts";
import { answerVerification } from "./answer_verification.ts";

const right = { "hub.mode": "subscribe", "hub.verify_token": "right", "hub.challenge": "1158201444" };

function answerTo(query: Record<string, string>, tokens = "right"): Response {
  const environment = { WHATSAPP_VERIFY_TOKEN: tokens };
  return answerVerification(new Request(`http://f?${new URLSearchParams(query)}`), fakeDeps({ environment }));
}

Deno.test("verification answers the challenge as plain text to whoever knows the token", async () => {
  for (const challenge of ["1158201444", "", "<script>alert(1)</script>", "é 😀"]) {
    const response = answerTo({ ...right, "hub.challenge": challenge });
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type") ?? "", /^text\/plain\b/);
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    assert.equal(await response.text(), challenge);
  }
});

Deno.test("verification answers 403, and nothing of the challenge, to anybody else", async () => {
  const { "hub.mode": _mode, ...withoutMode } = right;
  const { "hub.verify_token": _token, ...withoutToken } = right;
  const { "hub.challenge": _challenge, ...withoutChallenge } = right;
  const others = [
    {},
    withoutMode,
    withoutToken,
    withoutChallenge,
    { ...right, "hub.mode": "unsubscribe" },
    { ...right, "hub.mode": "Subscribe" },
    ...["", "wrong", "Right", "righ", "rightt", " right"].map((token) => ({ ...right, "hub.verify_token": token })),
  ];
  for (const query of others) {
    const response = answerTo(query);
    assert.equal(response.status, 403, JSON.stringify(query));
    assert.deepEqual(await response.json(), { error: { code: "forbidden", message: "Forbidden." } });
  }
});

Deno.test("verification takes the old and the new token while they are rotated, and not the list", async () => {
  for (const token of ["old", "new"]) {
    assert.equal(await answerTo({ ...right, "hub.verify_token": token }, "old, new").text(), "1158201444");
  }
  const response = answerTo({ ...right, "hub.verify_token": "old, new" }, "old, new");
  assert.equal(response.status, 403);
  await response.body?.cancel();
});

Deno.test("verification lets nobody in while no token is configured", () => {
  for (const tokens of ["", "  ", ","]) {
    for (const token of ["", "right", ","]) {
      assert.throws(() => answerTo({ ...right, "hub.verify_token": token }, tokens), EnvironmentError);
    }
  }
});
