-- Who may see what: organizations, their members, and the one place that says which organizations the caller belongs to.
-- Every later migration builds its policies on the two functions at the end of this file.

do $$
begin
    if current_setting('server_version_num')::integer < 170000 then
        raise feature_not_supported using
            message = format('Truetick needs Postgres 17, this is %s', current_setting('server_version')),
            hint = 'Upgrade the project first (dashboard: Project Settings, Infrastructure), then push again.';
    end if;
end
$$;

create schema if not exists private;
comment on schema private is 'Internals of Truetick. Not exposed by the API; nothing outside these migrations may rely on it.';
revoke all on schema private from public, anon;
grant usage on schema private to authenticated, service_role;

-- ---------------------------------------------------------------------------------------------------------------------
-- ids
-- ---------------------------------------------------------------------------------------------------------------------

create function private.time_ordered_uuid()
returns uuid
language sql
volatile
-- parsed, not run under a search path: that pins every name as well, and lets the planner inline it
return encode(
    set_bit(
        set_bit(
            overlay(
                uuid_send(gen_random_uuid())
                placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                from 1 for 6
            ),
            52, 1
        ),
        53, 1
    ),
    'hex'
)::uuid;
revoke all on function private.time_ordered_uuid() from public, anon, authenticated;
grant execute on function private.time_ordered_uuid() to authenticated, service_role;
comment on function private.time_ordered_uuid() is
    'A version 7 uuid: milliseconds, then chance. New rows share index pages, so sending does not slow down as history grows.';

-- ---------------------------------------------------------------------------------------------------------------------
-- types
-- ---------------------------------------------------------------------------------------------------------------------

create type public.organization_role as enum ('viewer', 'operator', 'owner');
comment on type public.organization_role is 'viewer reads; operator also creates and steers campaigns; owner also manages members and senders.';

-- ---------------------------------------------------------------------------------------------------------------------
-- tables
-- ---------------------------------------------------------------------------------------------------------------------

create table public.organizations (
    id uuid primary key default gen_random_uuid(),
    name text not null default '',
    -- whose clock the quiet hours go by: Europe/Berlin, Asia/Kolkata
    time_zone text not null default 'UTC',
    -- nothing is claimed from quiet_from until quiet_until, which may be the next morning
    quiet_from time,
    quiet_until time,
    created_at timestamptz not null default now(),
    -- refused with its name, where Postgres does not know it
    constraint time_zone_is_known check (timezone(time_zone, timestamptz 'epoch') is not null),
    constraint quiet_hours_have_both_ends check ((quiet_from is null) = (quiet_until is null)),
    constraint quiet_from_differs_from_quiet_until check (quiet_from <> quiet_until)
);
comment on table public.organizations is 'A tenant. Everything else belongs to exactly one organization.';

create table public.organization_members (
    organization_id uuid not null references public.organizations (id) on delete cascade,
    -- auth.users(id); no foreign key, because the auth service owns that table and may purge it on its own schedule
    user_id uuid not null,
    role public.organization_role not null default 'viewer',
    created_at timestamptz not null default now(),
    primary key (organization_id, user_id)
);
comment on table public.organization_members is 'Which user may do what in which organization.';
create index organization_members_user on public.organization_members (user_id);

-- ---------------------------------------------------------------------------------------------------------------------
-- functions
-- ---------------------------------------------------------------------------------------------------------------------

create function private.readable_organization_ids()
returns setof uuid
language sql
stable
-- definer because the policy of organization_members would otherwise call itself; it answers for the caller alone
security definer
set search_path = ''
as $$
    select m.organization_id
    from public.organization_members m
    where m.user_id = (select auth.uid())
$$;
revoke all on function private.readable_organization_ids() from public, anon, authenticated;
grant execute on function private.readable_organization_ids() to authenticated, service_role;
comment on function private.readable_organization_ids() is 'The organizations the calling user is a member of, whatever the role. For policies.';

create function private.organization_ids_with_role(p_role public.organization_role)
returns setof uuid
language sql
stable
-- definer because the policy of organization_members would otherwise call itself; it answers for the caller alone
security definer
set search_path = ''
as $$
    select m.organization_id
    from public.organization_members m
    where m.user_id = (select auth.uid())
        and m.role >= p_role
$$;
revoke all on function private.organization_ids_with_role(public.organization_role) from public, anon, authenticated;
grant execute on function private.organization_ids_with_role(public.organization_role) to authenticated, service_role;
comment on function private.organization_ids_with_role(public.organization_role) is
    'The organizations in which the calling user has p_role or a higher one (viewer < operator < owner). For policies.';

-- ---------------------------------------------------------------------------------------------------------------------
-- grants and policies
-- ---------------------------------------------------------------------------------------------------------------------

alter table public.organizations enable row level security;
revoke all on public.organizations from anon, authenticated;
grant select on public.organizations to authenticated;
grant update (name, time_zone, quiet_from, quiet_until) on public.organizations to authenticated;
grant all on public.organizations to service_role;

create policy "members read their organizations" on public.organizations
    for select to authenticated
    using (id in (select private.readable_organization_ids()));
create policy "owners name their organizations and set their quiet hours" on public.organizations
    for update to authenticated
    using (id in (select private.organization_ids_with_role('owner')))
    with check (id in (select private.organization_ids_with_role('owner')));

alter table public.organization_members enable row level security;
revoke all on public.organization_members from anon, authenticated;
grant select, insert, delete on public.organization_members to authenticated;
grant update (role) on public.organization_members to authenticated;
grant all on public.organization_members to service_role;

create policy "members read the members of their organizations" on public.organization_members
    for select to authenticated
    using (organization_id in (select private.readable_organization_ids()));
create policy "owners add members" on public.organization_members
    for insert to authenticated
    with check (organization_id in (select private.organization_ids_with_role('owner')));
create policy "owners change roles" on public.organization_members
    for update to authenticated
    using (organization_id in (select private.organization_ids_with_role('owner')))
    with check (organization_id in (select private.organization_ids_with_role('owner')));
create policy "owners remove members" on public.organization_members
    for delete to authenticated
    using (organization_id in (select private.organization_ids_with_role('owner')));
