-- Makes the ids of all targets unique, with psql:
--
--   psql "$DATABASE_URL" -f supabase/adopt/make_unique.sql
--
-- A unique index is made concurrently, so that nobody who writes has to wait; that no transaction and no function may
-- do, so the steps are asked for and run one by one. Inserts go on, and may bring the duplicate that makes a try fail:
-- then it is removed, and the next try made. Stopped or killed half-way: run it again. Over a direct connection or the
-- session pooler (port 5432); docs/adopting.md says what to do without psql.

\set ON_ERROR_STOP on
set statement_timeout = '2h';

call adopt.remove_duplicates();
\set tries_left 50
\ir next_step.sql
