-- The preset for mobile apps: tables for clicks, impressions and events, and the rule that attributes installs to them.

CREATE FUNCTION attribution.create_mobile(app_schema name, rule text DEFAULT 'installs',
  install_event text DEFAULT 'install') RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  clashes text;
  device CONSTANT text := 'coalesce(nullif(ifa, ''00000000-0000-0000-0000-000000000000''), oa_uid)';
  relation text;
  touchpoints text;
  clicks regclass;
  impressions regclass;
  events regclass;
BEGIN
  IF app_schema IS NULL OR rule IS NULL OR install_event IS NULL THEN
    RAISE EXCEPTION 'app_schema, rule and install_event must not be null'
      USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF EXISTS (SELECT FROM attribution.rule AS r WHERE r.rule = create_mobile.rule) THEN
    RAISE EXCEPTION 'rule "%" already exists', rule
      USING ERRCODE = 'duplicate_object', HINT = 'Give this one another name: rule => ''...''.';
  END IF;
  SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ' ORDER BY c.relname) INTO clashes
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = app_schema
     AND c.relname = ANY ('{clicks,impressions,events,clicks_default,impressions_default,events_default}'::name[]);
  IF clashes IS NOT NULL THEN
    RAISE EXCEPTION 'schema % has tables of these names already', quote_ident(app_schema)
      USING ERRCODE = 'duplicate_table', DETAIL = format('There is %s.', clashes),
            HINT = 'Name another schema, or bind a rule to your own tables with create_rule() and add_tier().';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = app_schema) THEN
    EXECUTE format('CREATE SCHEMA %I', app_schema);
    EXECUTE format('COMMENT ON SCHEMA %I IS %L', app_schema,
                   'Clicks, impressions and events of mobile apps, with their attribution.');
  END IF;

  -- Keys: a partitioned table's primary key holds the partition's column, and so refuses exact repetitions only (load
  -- with ON CONFLICT DO NOTHING). The same id at two times is stored twice: an event counts once, at its earliest time.
  -- Text ids of networks stay text: they are anything. No column to match on is NOT NULL but the app: each has its
  -- tier, and a tier passes over rows that lack its key.
  touchpoints := '
    link_uid uuid NOT NULL,
    event_time timestamptz NOT NULL CHECK (isfinite(event_time)),
    store_id text NOT NULL,
    network text,
    campaign_name text,
    campaign_id text,
    ad_name text,
    ad_id text,
    ifa uuid,
    client_ip inet,
    user_agent text,
    click_id text,
    country_iso text,
    state_iso text,
    city_name text,
    received_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(received_at)),
    PRIMARY KEY (link_uid, event_time)';
  EXECUTE format('CREATE TABLE %I.clicks (%s) PARTITION BY RANGE (event_time)', app_schema, touchpoints);
  EXECUTE format('CREATE TABLE %I.impressions (%s) PARTITION BY RANGE (event_time)', app_schema, touchpoints);
  EXECUTE format('
    CREATE TABLE %I.events (
      event_uid uuid NOT NULL,
      event_time timestamptz NOT NULL CHECK (isfinite(event_time)),
      store_id text NOT NULL,
      event_id text NOT NULL,
      ifa uuid,
      oa_uid uuid,
      client_ip inet,
      user_agent text,
      click_id text,
      referrer text,
      install_begin_time timestamptz CHECK (isfinite(install_begin_time)),
      revenue numeric CHECK (revenue <> ''NaN''),
      currency text,
      country_iso text,
      state_iso text,
      city_name text,
      received_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(received_at)),
      PRIMARY KEY (event_uid, event_time)
    ) PARTITION BY RANGE (event_time)', app_schema);
  clicks := format('%I.clicks', app_schema)::regclass;
  impressions := format('%I.impressions', app_schema)::regclass;
  events := format('%I.events', app_schema)::regclass;

  -- An index for each tier, and one for the installs of a time.
  EXECUTE format('CREATE INDEX ON %I.clicks USING touch (store_id, click_id, event_time)', app_schema);
  EXECUTE format('CREATE INDEX ON %I.clicks USING touch (store_id, ifa, event_time)', app_schema);
  EXECUTE format('CREATE INDEX ON %I.clicks USING touch (store_id, client_ip, user_agent, event_time)', app_schema);
  EXECUTE format('CREATE INDEX ON %I.impressions USING touch (store_id, ifa, event_time)', app_schema);
  EXECUTE format('CREATE INDEX ON %I.impressions USING touch (store_id, client_ip, user_agent, event_time)', app_schema);
  EXECUTE format('CREATE INDEX ON %I.events (event_time)', app_schema);
  -- And one that tells in which partitions an id is: for ingestion and for runs.
  EXECUTE format('CREATE INDEX ON %I.events USING touch (event_uid, event_time)', app_schema);

  EXECUTE format('COMMENT ON TABLE %I.clicks IS %L', app_schema, 'Clicks on ads, partitioned by UTC day of event_time.');
  EXECUTE format('COMMENT ON TABLE %I.impressions IS %L', app_schema, 'Ads shown, partitioned by UTC day of event_time.');
  EXECUTE format('COMMENT ON TABLE %I.events IS %L', app_schema,
                 'What users did in the apps, installs among it, partitioned by UTC day of event_time.');
  FOREACH relation IN ARRAY '{clicks,impressions}'::text[] LOOP
    EXECUTE format('COMMENT ON COLUMN %I.%I.link_uid IS %L', app_schema, relation, 'id of the click or impression');
    EXECUTE format('COMMENT ON COLUMN %I.%I.network IS %L', app_schema, relation, 'who showed the ad');
    EXECUTE format('COMMENT ON COLUMN %I.%I.click_id IS %L', app_schema, relation,
                   'the network''s own id of the click, which the install''s referrer repeats');
  END LOOP;
  EXECUTE format('COMMENT ON COLUMN %I.events.event_uid IS %L', app_schema,
                 'id of the event; a repetition of it is the same event');
  EXECUTE format('COMMENT ON COLUMN %I.events.event_id IS %L', app_schema,
                 format('what happened: %s, app_open, purchase ...', install_event));
  EXECUTE format('COMMENT ON COLUMN %I.events.oa_uid IS %L', app_schema,
                 'the app''s instance on the device: new with every install');
  EXECUTE format('COMMENT ON COLUMN %I.events.click_id IS %L', app_schema,
                 'the click id that the install''s referrer names');
  EXECUTE format('COMMENT ON COLUMN %I.events.install_begin_time IS %L', app_schema, 'when the store began the download');
  EXECUTE format('COMMENT ON COLUMN %I.events.revenue IS %L', app_schema, 'in currency (ISO 4217)');
  FOREACH relation IN ARRAY '{clicks,impressions,events}'::text[] LOOP
    EXECUTE format('COMMENT ON COLUMN %I.%I.event_time IS %L', app_schema, relation, 'when it happened');
    EXECUTE format('COMMENT ON COLUMN %I.%I.store_id IS %L', app_schema, relation, 'the app, by its id in the store');
    EXECUTE format('COMMENT ON COLUMN %I.%I.ifa IS %L', app_schema, relation,
                   'advertising id of the device; NULL or all zeros: the user opted out');
    EXECUTE format('COMMENT ON COLUMN %I.%I.received_at IS %L', app_schema, relation, 'when it reached us');

    -- The default partition takes what no day has room for, so that no insert fails.
    EXECUTE format('CREATE TABLE %I.%I PARTITION OF %I.%I DEFAULT',
                   app_schema, relation || '_default', app_schema, relation);
    EXECUTE format('COMMENT ON TABLE %I.%I IS %L', app_schema, relation || '_default',
                   'Rows of days without a partition; attribution.maintain_partitions() moves them into one.');
  END LOOP;

  INSERT INTO attribution.partitioning (relation, ahead) VALUES (clicks, 7), (impressions, 7), (events, 7);
  PERFORM attribution.maintain_partitions(clicks);
  PERFORM attribution.maintain_partitions(impressions);
  PERFORM attribution.maintain_partitions(events);

  -- The same device again within 90 days is a reinstall. Who has opted out of an advertising id is new with every instance.
  EXECUTE format('CREATE INDEX ON %I.events USING touch (store_id, %s, event_time) WHERE event_id = %L', app_schema, device, install_event);
  PERFORM attribution.create_rule(rule, events, 'event_uid', 'event_time',
                                  filter => format('event_id = %L', install_event),
                                  carry => '{network,campaign_name,campaign_id,ad_name,ad_id}',
                                  installation_key => ARRAY['store_id', device], channel => 'touch.network');
  PERFORM attribution.add_tier(rule, 'click by click id', clicks, '{store_id,click_id}', '7 days',
                               id_column => 'link_uid', time_column => 'event_time');
  PERFORM attribution.add_tier(rule, 'click by device', clicks, '{store_id,ifa}', '7 days',
                               id_column => 'link_uid', time_column => 'event_time');
  -- Two different advertising ids are two devices, however much their addresses look alike.
  PERFORM attribution.add_tier(rule, 'click by fingerprint', clicks, '{store_id,client_ip,user_agent}', '24 hours',
                               conflict => '{ifa}', id_column => 'link_uid', time_column => 'event_time');
  PERFORM attribution.add_tier(rule, 'impression by device', impressions, '{store_id,ifa}', '24 hours',
                               id_column => 'link_uid', time_column => 'event_time');
  PERFORM attribution.add_tier(rule, 'impression by fingerprint', impressions, '{store_id,client_ip,user_agent}',
                               '24 hours',
                               conflict => '{ifa}', id_column => 'link_uid', time_column => 'event_time');
  PERFORM attribution.activate(rule);
END
$$;
COMMENT ON FUNCTION attribution.create_mobile(name, text, text) IS
  'Makes, in a schema (made if missing), the tables clicks, impressions and events of mobile apps, partitioned by '
  'UTC day with 7 days ahead, and a rule, activated, that attributes installs: click by click id, by device (7 '
  'days), by fingerprint (24 hours), impression by device, by fingerprint (24 hours), else organic; with network, campaign '
  'and ad kept, and reinstalls told apart. install_event: the event_id that is an install. All of it belongs to the caller. Errors: tables of these names exist, a rule of '
  'this name exists, no CREATE privilege.';
