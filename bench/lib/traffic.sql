-- Made-up traffic of a mobile publisher, for the tables of create_mobile('game'). Every row is a function of its number: an
-- install can be made for a click without looking the click up, and the same numbers make the same rows. The sizes of a
-- world and its days become part of the functions.
CREATE SCHEMA traffic;

CREATE FUNCTION traffic.pick(n bigint, salt bigint, among bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT (hashint8extended(n, salt) & 9223372036854775807) %% among
$$;
CREATE FUNCTION traffic.uid(kind text, n bigint) RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT md5(kind || n)::uuid $$;

-- A device: one in eight has opted out of an advertising id. Numbers beyond those of the world are devices without touchpoints,
-- which share their address with nobody.
CREATE FUNCTION traffic.store(device bigint) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT 'com.example.game' || traffic.pick(device, 1, 3)
$$;
CREATE FUNCTION traffic.ifa(device bigint) RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN traffic.pick(device, 2, 8) > 0 THEN traffic.uid('device', device) END
$$;
CREATE FUNCTION traffic.address(device bigint) RETURNS inet LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN device < %(devices)s THEN inet '10.0.0.0' + traffic.pick(device, 3, %(devices)s / 3 + 1) ELSE inet '20.0.0.0' + device END
$$;
CREATE FUNCTION traffic.agent(device bigint) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT 'Mozilla/5.0 (Linux; Android 13; SM-A' || traffic.pick(device, 4, 300)
         || ') AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 Mobile Safari/537.36'
$$;

-- Touchpoint n of so many came at its share of the days; those with later numbers come now.
CREATE FUNCTION traffic.came_at(n bigint, among bigint) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT CASE WHEN n <= among THEN %(since)s + (%(until)s - %(since)s) * (n::float8 / among) ELSE clock_timestamp() END
$$;
-- The last of the days that had come by then; 0: none.
CREATE FUNCTION traffic.last_by(at timestamptz, among bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT greatest(0, least(among, floor(among * extract(epoch FROM at - %(since)s)::float8 / extract(epoch FROM %(until)s - %(since)s)::float8)::bigint))
$$;

-- The functions that write are in PL/pgSQL, which keeps its plans.
CREATE FUNCTION traffic.add_clicks(first bigint, last bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO game.clicks (link_uid, event_time, store_id, network, campaign_name, campaign_id, ad_name, ad_id, ifa, client_ip,
                           user_agent, click_id, country_iso)
  SELECT traffic.uid('click', n), traffic.came_at(n, %(clicks)s), traffic.store(d), 'network ' || traffic.pick(n, 11, 8),
         'campaign ' || traffic.pick(n, 12, 40), traffic.pick(n, 12, 40)::text, 'ad ' || traffic.pick(n, 13, 400),
         traffic.pick(n, 13, 400)::text, traffic.ifa(d), traffic.address(d), traffic.agent(d), traffic.uid('click id', n)::text, 'SE'
    FROM (SELECT n, traffic.pick(n, 10, %(devices)s) AS d FROM generate_series(first, last) AS n) AS made;
END
$$;
CREATE FUNCTION traffic.add_impressions(first bigint, last bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO game.impressions (link_uid, event_time, store_id, network, campaign_name, campaign_id, ad_name, ad_id, ifa, client_ip,
                                user_agent, country_iso)
  SELECT traffic.uid('impression', n), traffic.came_at(n, %(impressions)s), traffic.store(d), 'network ' || traffic.pick(n, 21, 8),
         'campaign ' || traffic.pick(n, 22, 40), traffic.pick(n, 22, 40)::text, 'ad ' || traffic.pick(n, 23, 400),
         traffic.pick(n, 23, 400)::text, traffic.ifa(d), traffic.address(d), traffic.agent(d), 'SE'
    FROM (SELECT n, traffic.pick(n, 20, %(devices)s) AS d FROM generate_series(first, last) AS n) AS made;
END
$$;

-- Installs, evenly over a time. Of a hundred, 12 name a click's id, 22 are of a device with a click and 8 of an address with
-- one, 10 and 6 the same with an impression, and 42 are of devices that nobody has shown anything. The touchpoint lies 7 days
-- back at most for clicks, 24 hours for impressions and addresses, and rather less.
CREATE FUNCTION traffic.add_installs(first bigint, last bigint, since timestamptz, until timestamptz, organic boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- OFFSET 0: what a step has computed is not computed again by the next ones.
  INSERT INTO game.events (event_uid, event_time, store_id, event_id, ifa, oa_uid, client_ip, user_agent, click_id)
  SELECT traffic.uid('install', k), at, traffic.store(device), 'install', CASE WHEN by_address THEN NULL ELSE traffic.ifa(device) END,
         traffic.uid('instance', k), traffic.address(device), traffic.agent(device),
         CASE WHEN way < 12 AND touch > 0 THEN traffic.uid('click id', touch)::text END
  FROM (
    SELECT *, CASE WHEN touch = 0 THEN %(devices)s + k WHEN way < 42 THEN traffic.pick(touch, 10, %(devices)s)
                   ELSE traffic.pick(touch, 20, %(devices)s) END AS device
    FROM (
      SELECT *, CASE WHEN way >= 58 THEN 0
                     WHEN way < 42 THEN traffic.last_by(at - back * CASE WHEN by_address THEN interval '24 hours' ELSE interval '7 days' END, %(clicks)s)
                     ELSE traffic.last_by(at - back * interval '24 hours', %(impressions)s) END AS touch
      FROM (
        SELECT k, way, since + (until - since) * ((k - first)::float8 / (last - first + 1)) AS at,
               way BETWEEN 34 AND 41 OR way BETWEEN 52 AND 57 AS by_address, (traffic.pick(k, 31, 1000000) / 1e6) ^ 3 AS back
        FROM (SELECT k, CASE WHEN organic THEN 99 ELSE traffic.pick(k, 30, 100) END AS way FROM generate_series(first, last) AS k) AS ways
        OFFSET 0) AS times
      OFFSET 0) AS touches
    OFFSET 0) AS made;
END
$$;
-- One that happens now.
CREATE FUNCTION traffic.add_install(k bigint, organic boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM traffic.add_installs(k, k, clock_timestamp(), clock_timestamp(), organic);
END
$$;
-- A click of the device behind an organic install, from a minute before it, that is brought now.
CREATE FUNCTION traffic.add_late_click(k bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO game.clicks (link_uid, event_time, store_id, network, ifa, client_ip, user_agent)
  SELECT traffic.uid('late click', k), e.event_time - interval '1 minute', e.store_id, 'network 1', e.ifa, e.client_ip, e.user_agent
    FROM game.events AS e WHERE e.event_uid = traffic.uid('install', k);
END
$$;

-- What else the apps report.
CREATE FUNCTION traffic.add_other_events(first bigint, last bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO game.events (event_uid, event_time, store_id, event_id, ifa, oa_uid, client_ip, user_agent)
  SELECT traffic.uid('event', n), traffic.came_at(n, %(events)s), traffic.store(d), 'app_open', traffic.ifa(d), traffic.uid('opened', d),
         traffic.address(d), traffic.agent(d)
    FROM (SELECT n, traffic.pick(n, 40, %(devices)s) AS d FROM generate_series(first, last) AS n) AS made;
END
$$;
