import assert from "node:assert/strict";
import type { Alarm } from "./alarm.ts";
import { alarmText } from "./alarm_text.ts";

const opened: Alarm = {
  id: 1,
  kind: "opened",
  cause: "sender_stopped",
  subject: "wa_1",
  message: "The sender wa_1 is restricted.",
  opened_at: "2026-11-22T21:00:00+00:00",
  resolved_at: null,
};

Deno.test("alarms are a line each, a recovery with how long it took", () => {
  const resolved: Alarm = { ...opened, kind: "resolved", resolved_at: "2026-11-22T21:42:10+00:00" };
  assert.equal(
    alarmText([opened, resolved]),
    [
      "ALARM sender_stopped: The sender wa_1 is restricted.",
      "RECOVERED sender_stopped, after 42 min. It was: The sender wa_1 is restricted.",
    ].join("\n"),
  );
});

Deno.test("alarms call no channel, make no line and are no novel, whatever a provider said", () => {
  const text = alarmText([{ ...opened, message: `<!channel> a & b\n\nALARM x: ${"y".repeat(5000)}` }]);
  assert.ok(text.startsWith("ALARM sender_stopped: &lt;!channel&gt; a &amp; b ALARM x: yyy"), text.slice(0, 80));
  assert.ok(!text.includes("\n"));
  assert.ok(text.length < 1_100);
});
