import assert from "node:assert/strict";
import { databaseTest } from "../harness/mod.ts";
import { breachesOf, schemaRules } from "./rules.ts";

databaseTest("the schema obeys its rules", async ({ sql }) => {
  for (const rule of schemaRules) assert.deepEqual(await breachesOf(sql, rule), [], rule.name);
});

databaseTest("every rule of the schema can be broken", async ({ sql }) => {
  for (const rule of schemaRules) {
    for (const statement of rule.planted) {
      const takenBack = new Error("taken back");
      let breaches: string[] = [];
      await sql.begin(async (transaction) => {
        await transaction.unsafe(statement);
        breaches = await breachesOf(transaction, rule);
        throw takenBack;
      }).catch((error: unknown) => {
        if (error !== takenBack) throw error;
      });
      assert.ok(breaches.length > 0, `"${rule.name}" does not notice: ${statement}`);
    }
  }
});
