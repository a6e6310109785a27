/** What tests of the database need, in one import. */
export * from "./alarms.ts";
export * from "./archive.ts";
export * from "./as_role.ts";
export * from "./at_once.ts";
export * from "./campaigns.ts";
export * from "./connect.ts";
export * from "./contacts.ts";
export * from "./database_testing.ts";
export * from "./partition_receipts.ts";
export * from "./rows.ts";
export * from "./rpc.ts";
export * from "./session.ts";
export * from "./signals.ts";
export * from "./test_database.ts";
export * from "./test_stack.ts";
export * from "./until.ts";
