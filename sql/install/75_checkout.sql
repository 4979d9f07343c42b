-- The preset for shops: tables for clicks, checkouts, users and products, and the rule that attributes each checkout to the first
-- click of the hour before it, by the same user on the same product. Made of what any rule is made of.

CREATE FUNCTION attribution.create_checkout(shop_schema name DEFAULT 'commerce', rule text DEFAULT 'checkouts',
  zone text DEFAULT 'UTC', settlement interval DEFAULT '250 milliseconds') RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  clashes text;
  relation text;
  note record;
  clicks regclass;
  checkouts regclass;
BEGIN
  IF shop_schema IS NULL OR rule IS NULL OR zone IS NULL OR settlement IS NULL THEN
    RAISE EXCEPTION 'shop_schema, rule, zone and settlement must not be null'
      USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE z.name = zone) AND zone !~ '^[+-][0-9]{2}:[0-9]{2}$' THEN
    RAISE EXCEPTION 'time zone "%" is not known', zone USING ERRCODE = 'invalid_parameter_value',
      HINT = 'Such as UTC, Europe/Berlin or +02:00; pg_timezone_names lists the names.';
  END IF;
  IF EXISTS (SELECT FROM attribution.rule AS r WHERE r.rule = create_checkout.rule) THEN
    RAISE EXCEPTION 'rule "%" already exists', rule
      USING ERRCODE = 'duplicate_object', HINT = 'Give this one another name: rule => ''...''.';
  END IF;
  SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ' ORDER BY c.relname) INTO clashes
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = shop_schema
     AND c.relname = ANY ('{clicks,checkouts,clicks_default,checkouts_default,clicks_staging,'
       'checkouts_staging,clicks_rejected,checkouts_rejected,users,products,attributed_checkouts}'::name[]);
  IF clashes IS NOT NULL THEN
    RAISE EXCEPTION 'schema % has tables of these names already', quote_ident(shop_schema)
      USING ERRCODE = 'duplicate_table', DETAIL = format('There is %s.', clashes),
            HINT = 'Name another schema, or bind a rule to your own tables with create_rule(), add_tier() and set_enrichment().';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = shop_schema) THEN
    EXECUTE format('CREATE SCHEMA %I', shop_schema);
    EXECUTE format('COMMENT ON SCHEMA %I IS %L', shop_schema, 'Clicks and checkouts of a shop, with their attribution.');
  END IF;

  -- The columns are called as the fields of the events are. Nothing that an event may lack or have wrong is refused here: amounts
  -- have no largest one, users and products need not be known.
  EXECUTE format('
    CREATE TABLE %I.clicks (
      click_id text NOT NULL,
      user_id integer,
      product_id text,
      product text,
      price numeric CHECK (price <> ''NaN''),
      url text,
      user_agent text,
      ip_address text,
      datetime_occured timestamptz NOT NULL CHECK (isfinite(datetime_occured)),
      received_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(received_at))
    ) PARTITION BY RANGE (datetime_occured)', shop_schema);
  EXECUTE format('
    CREATE TABLE %I.checkouts (
      checkout_id text NOT NULL,
      user_id integer,
      product_id text,
      payment_method text,
      total_amount numeric CHECK (total_amount <> ''NaN''),
      shipping_address text,
      billing_address text,
      user_agent text,
      ip_address text,
      datetime_occured timestamptz NOT NULL CHECK (isfinite(datetime_occured)),
      received_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(received_at)),
      PRIMARY KEY (checkout_id, datetime_occured)
    ) PARTITION BY RANGE (datetime_occured)', shop_schema);
  EXECUTE format('CREATE TABLE %I.users (id integer PRIMARY KEY, username text NOT NULL, password text)', shop_schema);
  EXECUTE format('CREATE TABLE %I.products (id text PRIMARY KEY, name text NOT NULL, description text, price numeric)', shop_schema);
  clicks := format('%I.clicks', shop_schema)::regclass;
  checkouts := format('%I.checkouts', shop_schema)::regclass;

  -- By the rule's key, and by the id, which tells what was delivered twice.
  EXECUTE format('CREATE INDEX ON %s USING touch (user_id, product_id, datetime_occured)', clicks);
  EXECUTE format('CREATE INDEX ON %s USING touch (click_id, datetime_occured)', clicks);
  EXECUTE format('CREATE INDEX ON %s USING touch (checkout_id, datetime_occured)', checkouts);
  EXECUTE format('CREATE INDEX ON %s (datetime_occured)', checkouts);

  FOR note IN
    SELECT * FROM (VALUES
      ('clicks', 'Clicks on products, partitioned by UTC day of datetime_occured.'),
      ('checkouts', 'Checkouts of products, partitioned by UTC day of datetime_occured.'),
      ('users', 'Who buys. Decisions keep the name.'),
      ('products', 'What is sold. Decisions keep the name.')) AS n(relation, what)
  LOOP
    EXECUTE format('COMMENT ON TABLE %I.%I IS %L', shop_schema, note.relation, note.what);
  END LOOP;
  EXECUTE format('COMMENT ON COLUMN %I.users.password IS %L', shop_schema, 'Not used here.');
  FOREACH relation IN ARRAY '{clicks,checkouts}'::text[] LOOP
    EXECUTE format('COMMENT ON COLUMN %I.%I.datetime_occured IS %L', shop_schema, relation, 'when it happened');
    EXECUTE format('COMMENT ON COLUMN %I.%I.received_at IS %L', shop_schema, relation, 'when it reached us');
    -- The default partition takes what no day has room for, so that no insert fails.
    EXECUTE format('CREATE TABLE %1$I.%3$I PARTITION OF %1$I.%2$I DEFAULT', shop_schema, relation, relation || '_default');
    EXECUTE format('COMMENT ON TABLE %I.%I IS %L', shop_schema, relation || '_default',
                   'Rows of days without a partition; attribution.maintain_partitions() moves them into one.');
  END LOOP;
  INSERT INTO attribution.partitioning (relation, ahead) VALUES (clicks, 7), (checkouts, 7);
  PERFORM attribution.maintain_partitions(clicks);
  PERFORM attribution.maintain_partitions(checkouts);

  PERFORM attribution.create_rule(rule, checkouts, 'checkout_id', 'datetime_occured', model => 'first_touch',
                                  value_column => 'total_amount', carry => '{product,url}', path_summary => true,
                                  -- Clicks and checkouts come by different topics: what was clicked before may be here a moment later.
                                  settlement => settlement);
  PERFORM attribution.add_tier(rule, 'click', clicks, '{user_id,product_id}', '1 hour', id_column => 'click_id');
  PERFORM attribution.set_enrichment(rule, 'user', format('%I.users', shop_schema)::regclass, '{id}', '{username}',
                                     conversion_match => '{user_id}', names => '{user_name}');
  PERFORM attribution.set_enrichment(rule, 'product', format('%I.products', shop_schema)::regclass, '{id}', '{name}',
                                     conversion_match => '{product_id}', names => '{product_name}');
  PERFORM attribution.activate(rule);
  PERFORM attribution._create_attributed_checkouts(shop_schema, rule);

  -- Events come by Kafka, or whoever else fills the staging tables. Their times do not say their zone.
  FOREACH relation IN ARRAY '{clicks,checkouts}'::text[] LOOP
    PERFORM attribution.ingest_from(target, attribution.make_staging(target), topic => relation,
                                    mapping => jsonb_build_object('datetime_occured', jsonb_build_object('required', true, 'time', 'iso', 'zone', zone)))
      FROM (SELECT format('%I.%I', shop_schema, relation)::regclass) AS t(target);
  END LOOP;
END
$$;
COMMENT ON FUNCTION attribution.create_checkout(name, text, text, interval) IS
'Makes, in a schema (made if missing), the tables clicks, checkouts (partitioned by UTC day with 7 days ahead), users and products, a
rule, activated, that attributes each checkout to the first click of the same user on the same product in the hour before it, with the
user''s and the product''s name, and the view attributed_checkouts: every checkout once. zone: of event times that don''t say theirs,
for attribution.bridge_config(). settlement: how long a checkout waits for clicks that come by the other topic before it is first
decided; what comes later restates it. What the topics clicks and checkouts bring is staged, and ingest() moves it. All of it belongs to the caller. Errors: tables of these names exist, a rule of this name exists, no
CREATE privilege.';

CREATE FUNCTION attribution._create_attributed_checkouts(shop_schema name, of_rule text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kept attribution.storage := attribution._kept(of_rule);
BEGIN
  -- The newest are asked for all the time.
  EXECUTE format('CREATE INDEX ON %s (conversion_time)', kept.decisions);
  EXECUTE format('
    CREATE VIEW %1$I.attributed_checkouts AS
      SELECT a.conversion_id AS checkout_id, a.user_name, a.touch_id AS click_id, o.product_id, o.payment_method, o.total_amount,
             o.shipping_address, o.billing_address, o.user_agent, o.ip_address, a.conversion_time AS checkout_time, a.touch_time AS click_time
        FROM %2$s AS a LEFT JOIN %1$I.checkouts AS o ON o.checkout_id = a.conversion_id AND o.datetime_occured = a.conversion_time',
    shop_schema, kept.flat);
  EXECUTE format('COMMENT ON VIEW %I.attributed_checkouts IS %L', shop_schema,
    'Every checkout once, with the click that led to it, if any, and the user''s name, if known.');
END
$$;
COMMENT ON FUNCTION attribution._create_attributed_checkouts(name, text) IS 'Makes the view that shops read.';
