-- Shards are parts of all devices. Numbers of readings are given out in blocks, so that those of no two gateways are the same.
create table settings (
    single boolean primary key default true check (single),
    shards smallint not null check (shards > 0),
    blocks bigint not null
);

-- Gateways that run. Who has not said so until then is taken for ended. What each offers is the hash of its configuration. Who has once
-- agreed with what was in force, since it joined, may change it.
create table members (
    member bigint generated always as identity primary key,
    name text not null unique,
    until timestamptz not null,
    url text not null,
    configuration text not null,
    ready boolean not null,
    agreed boolean not null
);

-- Which configuration is in force: the last one that all who were there offered; none in version 0.
create table configuration (
    single boolean primary key default true check (single),
    version bigint not null,
    hash text not null
);
insert into configuration (version, hash) values (0, '');

-- Who has a shard. A term is the time of one holder: who writes with an older one is refused. There is a row for each of the settings' shards.
create table leases (
    shard smallint primary key,
    term bigint not null default 0,
    member bigint
);

-- What each gateway has written: how often, and the end of its audit log. The block is of the process that writes now.
create table gateways (
    name text primary key,
    identity text not null,
    block bigint not null,
    generation bigint not null,
    head_n bigint not null,
    head_hash text not null
);

-- The newest epoch of each device and root key.
create table epochs (
    device bytea not null,
    key bytea not null,
    shard smallint not null references leases,
    epoch integer not null,
    primary key (device, key)
);

create function refuse_epoch() returns trigger language plpgsql as $$
begin
    raise exception 'an epoch of % would go back', encode(old.device, 'hex');
end
$$;
create index epochs_of_shard on epochs (shard);
create trigger epochs_rise before update on epochs for each row when (new.epoch < old.epoch) execute function refuse_epoch();

create table devices (
    device bytea primary key,
    shard smallint not null references leases,
    record jsonb not null,
    isolated boolean not null generated always as (record ->> 'isolated' is not null) stored
);
create index devices_of_shard on devices (shard);
create index devices_isolated on devices (device) where isolated;

-- How far the links of devices were whose shard was let go. Who takes the shard deletes them before it uses them: each is used once.
create table links (
    device bytea primary key,
    shard smallint not null references leases,
    state bytea not null
);
create index links_of_shard on links (shard);

-- Readings that are not delivered yet. Times are nanoseconds since 1970.
create table outbox (
    number bigint primary key,
    shard smallint not null references leases,
    device bytea not null,
    key bytea not null,
    stream integer not null,
    stream_identity text not null,
    epoch integer not null,
    counter bigint not null,
    time bigint not null,
    payload bytea not null
);
-- By an expression, so that for those of one shard in their order no other index can be taken, which would lead through those of all others.
create index outbox_of_shard on outbox (shard, (number + 0));

-- Readings that users can look up.
create table history (
    number bigint not null,
    shard smallint not null references leases,
    device bytea not null,
    key bytea not null,
    stream integer not null,
    stream_identity text not null,
    epoch integer not null,
    counter bigint not null,
    time bigint not null,
    payload bytea not null,
    primary key (device, stream, time, number)
);
create index history_time on history (time, number);
create index history_of_shard on history (shard, (time + 0), number);
