import { deepEqual, equal } from "node:assert/strict";
import { encodeJsonArguments, jsonTextParameters } from "./json_arguments.ts";

const functions = [{ schema: "public", name: "f", arg_names: ["p", "t"], arg_types: ["jsonb", "text"] }];
const call = { type: "rpc", function: "f", schema: "public", httpMethod: "POST" };

Deno.test("string argument becomes JSON when the function takes jsonb", () => {
  deepEqual(encodeJsonArguments({ ...call, args: { p: "5", t: "5" } }, functions), { p: '"5"', t: "5" });
});

Deno.test("arguments stay as they are when none is a string for jsonb", () => {
  equal(encodeJsonArguments({ ...call, args: { p: { a: 1 }, t: "5" } }, functions), null);
  equal(encodeJsonArguments({ ...call, httpMethod: "GET", args: { p: "5" } }, functions), null);
  equal(encodeJsonArguments({ type: "query", from: "f" }, functions), null);
});

Deno.test("parameters cast to json are found, arrays of json are not", () => {
  deepEqual([...jsonTextParameters("select f(a := $1::jsonb, b := $2::text, c := $3::json, d := $4::jsonb[])")], [
    1,
    3,
  ]);
});
