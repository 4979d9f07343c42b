-- What kafka-bridge keeps in the database: how far it has read each partition, what it could not load, and how fast it is.
--
-- Rows and offsets move in one transaction, so the ledger is the truth and what Kafka has of a group is a hint. A claim
-- raises the epoch of a partition; whoever held it before has an old one, and its next advance fails. The advance is the
-- last statement before the commit: a bridge that hangs in the middle of its COPY holds no lock on the ledger, and who
-- takes over does not wait for it.

CREATE TABLE attribution.bridge_ledger (
  pipeline text NOT NULL,
  topic text NOT NULL,
  kafka_partition integer NOT NULL,
  next_offset bigint NOT NULL,
  epoch bigint NOT NULL DEFAULT 0,
  owner text,
  start_offset bigint NOT NULL,
  log_end bigint,
  rows bigint NOT NULL DEFAULT 0,
  dead bigint NOT NULL DEFAULT 0,
  last_time timestamptz,
  claimed_at timestamptz,
  advanced_at timestamptz,
  PRIMARY KEY (pipeline, topic, kafka_partition),
  CONSTRAINT offset_is_absolute CHECK (next_offset >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE attribution.bridge_ledger IS
'How far kafka-bridge has come in each partition of each topic. The transaction that loads rows moves next_offset. Change it with
attribution.bridge_seek() only.';
COMMENT ON COLUMN attribution.bridge_ledger.next_offset IS 'All before it is loaded, or a dead letter; nothing from it on is.';
COMMENT ON COLUMN attribution.bridge_ledger.epoch IS 'Raised by each claim and seek: who has another one may not advance.';
COMMENT ON COLUMN attribution.bridge_ledger.owner IS 'The bridge that claimed it last: host, process and worker.';
COMMENT ON COLUMN attribution.bridge_ledger.start_offset IS 'Where reading began, or was set to by the last seek.';
COMMENT ON COLUMN attribution.bridge_ledger.log_end IS 'The end of the partition, as the bridge knew it at the last advance.';
COMMENT ON COLUMN attribution.bridge_ledger.rows IS 'Rows loaded.';
COMMENT ON COLUMN attribution.bridge_ledger.dead IS 'Dead letters.';
COMMENT ON COLUMN attribution.bridge_ledger.last_time IS 'Kafka''s timestamp of the last message read.';

CREATE TABLE attribution.bridge_dead_letter (
  letter bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pipeline text NOT NULL,
  topic text NOT NULL,
  kafka_partition integer NOT NULL,
  kafka_offset bigint NOT NULL,
  kafka_time timestamptz,
  key bytea,
  payload bytea,
  headers jsonb,
  stage text NOT NULL,
  field text,
  sqlstate text,
  error text NOT NULL,
  at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  replayed_at timestamptz,
  CONSTRAINT stage_is_known CHECK (stage IN ('decode', 'map', 'load', 'gap'))
);
CREATE INDEX bridge_dead_letter_waiting ON attribution.bridge_dead_letter (pipeline, letter) WHERE replayed_at IS NULL;
COMMENT ON INDEX attribution.bridge_dead_letter_waiting IS 'For replays.';
COMMENT ON SEQUENCE attribution.bridge_dead_letter_letter_seq IS 'Numbers dead letters.';
COMMENT ON TABLE attribution.bridge_dead_letter IS
'Messages that could not be loaded, as Kafka had them, written by the transaction that passed them over. kafka-bridge
replay-dead-letters tries them again. Delete what is of no use any more.';
COMMENT ON COLUMN attribution.bridge_dead_letter.payload IS 'The message''s value; null for a tombstone.';
COMMENT ON COLUMN attribution.bridge_dead_letter.headers IS 'An array of [name, value in base64 or null], in the message''s order.';
COMMENT ON COLUMN attribution.bridge_dead_letter.stage IS
'decode: not of the format; map: a field is missing or not of its column''s type; load: PostgreSQL refused the row; gap: no message,
but offsets that were gone when they were to be read.';
COMMENT ON COLUMN attribution.bridge_dead_letter.field IS 'The column concerned.';
COMMENT ON COLUMN attribution.bridge_dead_letter.sqlstate IS 'PostgreSQL''s code, or the one that it would give.';
COMMENT ON COLUMN attribution.bridge_dead_letter.replayed_at IS 'When a replay loaded it.';

CREATE TABLE attribution.bridge_minute (
  pipeline text NOT NULL,
  minute timestamptz NOT NULL,
  rows bigint NOT NULL,
  dead bigint NOT NULL,
  bytes bigint NOT NULL,
  batches bigint NOT NULL,
  PRIMARY KEY (pipeline, minute)
) WITH (fillfactor = 50);
COMMENT ON TABLE attribution.bridge_minute IS 'What kafka-bridge loaded in each minute of the last seven days.';
COMMENT ON COLUMN attribution.bridge_minute.bytes IS 'Of the messages, as they came.';

-- Offsets, dead letters and staged rows are of one snapshot in a dump: after a restore the bridge goes on where that was taken.
SELECT pg_catalog.pg_extension_config_dump('attribution.bridge_ledger', '');
SELECT pg_catalog.pg_extension_config_dump('attribution.bridge_dead_letter', '');
SELECT pg_catalog.pg_extension_config_dump('attribution.bridge_dead_letter_letter_seq', '');

CREATE FUNCTION attribution._bridge_claim(pipeline text, topic text, partitions integer[], starting integer[], starts bigint[], owner text)
RETURNS TABLE (kafka_partition integer, next_offset bigint, epoch bigint)
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO attribution.bridge_ledger (pipeline, topic, kafka_partition, next_offset, start_offset)
    SELECT $1, $2, s.kafka_partition, s.start, s.start FROM unnest(starting, starts) AS s(kafka_partition, start)
    ORDER BY s.kafka_partition
    ON CONFLICT DO NOTHING;
  -- In order, so that two who claim the same don't wait for each other in a circle.
  SELECT FROM attribution.bridge_ledger AS l
    WHERE l.pipeline = $1 AND l.topic = $2 AND l.kafka_partition = ANY (partitions) ORDER BY l.kafka_partition FOR UPDATE;
  UPDATE attribution.bridge_ledger AS l SET epoch = l.epoch + 1, owner = $6, claimed_at = clock_timestamp()
    WHERE l.pipeline = $1 AND l.topic = $2 AND l.kafka_partition = ANY (partitions)
    RETURNING l.kafka_partition, l.next_offset, l.epoch
$$;
COMMENT ON FUNCTION attribution._bridge_claim(text, text, integer[], integer[], bigint[], text) IS
'Makes a bridge the owner of partitions, and says where to go on. Partitions that nobody has read yet begin at the offsets given.';

CREATE FUNCTION attribution._bridge_advance(pipeline text, topics text[], partitions integer[], epochs bigint[], since bigint[], until bigint[],
                                            rows bigint[], dead bigint[], log_ends bigint[], last_times timestamptz[], bytes bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  held integer;
  this_minute timestamptz := date_trunc('minute', clock_timestamp(), 'UTC');
BEGIN
  PERFORM FROM attribution.bridge_ledger AS l JOIN unnest($2, $3) AS a(topic, kafka_partition)
    ON l.pipeline = $1 AND l.topic = a.topic AND l.kafka_partition = a.kafka_partition
    ORDER BY l.topic, l.kafka_partition FOR UPDATE OF l;
  UPDATE attribution.bridge_ledger AS l
    SET next_offset = a.until, rows = l.rows + a.rows, dead = l.dead + a.dead, advanced_at = clock_timestamp(),
        log_end = coalesce(a.log_end, l.log_end), last_time = coalesce(a.last_time, l.last_time)
    FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10) AS a(topic, kafka_partition, epoch, since, until, rows, dead, log_end, last_time)
    WHERE l.pipeline = $1 AND l.topic = a.topic AND l.kafka_partition = a.kafka_partition
      AND l.epoch = a.epoch AND l.next_offset = a.since AND a.until >= a.since;
  GET DIAGNOSTICS held = ROW_COUNT;
  IF held <> cardinality($3) THEN
    RAISE EXCEPTION 'pipeline "%" holds % of the % partitions that it would advance', $1, held, cardinality($3)
      USING ERRCODE = 'AT002', DETAIL = 'Others were claimed by another bridge, or set to another offset.',
        HINT = 'attribution.bridge_lag shows who has them. Nothing of this transaction is kept.';
  END IF;
  INSERT INTO attribution.bridge_minute AS m (pipeline, minute, rows, dead, bytes, batches)
    SELECT $1, this_minute, coalesce(sum(a.rows), 0), coalesce(sum(a.dead), 0), $11, 1 FROM unnest($7, $8) AS a(rows, dead)
    ON CONFLICT (pipeline, minute) DO UPDATE
      SET rows = m.rows + excluded.rows, dead = m.dead + excluded.dead, bytes = m.bytes + excluded.bytes, batches = m.batches + 1;
  -- With the first batch of each hour.
  IF NOT EXISTS (SELECT FROM attribution.bridge_minute AS m
                 WHERE m.pipeline = $1 AND m.minute >= date_trunc('hour', this_minute, 'UTC') AND m.minute < this_minute) THEN
    DELETE FROM attribution.bridge_minute AS m WHERE m.pipeline = $1 AND m.minute < this_minute - interval '7 days';
  END IF;
END
$$;
COMMENT ON FUNCTION attribution._bridge_advance(text, text[], integer[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], timestamptz[], bigint) IS
'Moves the offsets of what the transaction has loaded. Fails, and the transaction with it, if any partition has another owner by now
or another offset.';

CREATE FUNCTION attribution._bridge_changed(relation text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'the columns of table % have changed since the bridge looked at them', relation USING ERRCODE = 'AT003',
    HINT = 'The bridge looks again; if they still fit its configuration, it goes on.';
END
$$;
COMMENT ON FUNCTION attribution._bridge_changed(text) IS 'Raises the error that ends a transaction of a bridge whose table has changed.';

CREATE FUNCTION attribution.bridge_seek(pipeline text, topic text, kafka_partition integer, next_offset bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  IF $4 IS NULL OR $4 < 0 THEN
    RAISE EXCEPTION 'an offset must be 0 or more: %', coalesce($4::text, 'null') USING ERRCODE = 'invalid_parameter_value',
      HINT = '"kafka-bridge seek" finds the offset of a time, of the beginning and of the end.';
  END IF;
  UPDATE attribution.bridge_ledger AS l
    SET next_offset = $4, start_offset = $4, epoch = l.epoch + 1, owner = NULL, claimed_at = clock_timestamp()
    WHERE l.pipeline = $1 AND l.topic = $2 AND l.kafka_partition = $3;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'pipeline "%" has never read partition % of topic "%"', $1, $3, $2 USING ERRCODE = 'undefined_object',
      HINT = 'attribution.bridge_lag lists what it reads.';
  END IF;
END
$$;
COMMENT ON FUNCTION attribution.bridge_seek(text, text, integer, bigint) IS
'Has a pipeline go on at another offset of a partition. A bridge that runs loses its claim and takes it anew. What lies between is
read again, or never.';

CREATE VIEW attribution.bridge_lag AS
  SELECT l.pipeline, l.topic, l.kafka_partition, l.next_offset, l.log_end, greatest(l.log_end - l.next_offset, 0) AS lag,
         l.last_time, l.advanced_at, l.owner, l.claimed_at
  FROM attribution.bridge_ledger AS l;
COMMENT ON VIEW attribution.bridge_lag IS
'How far each partition is behind, as of the last advance: a bridge that does not run learns of no new messages.';

CREATE VIEW attribution.bridge_rate AS
  SELECT m.pipeline, m.minute, m.rows, m.dead, m.bytes, m.batches, round(m.rows / 60.0, 1) AS rows_per_s
  FROM attribution.bridge_minute AS m;
COMMENT ON VIEW attribution.bridge_rate IS 'What was loaded in each minute of the last seven days; the last one is not over.';

CREATE VIEW attribution.bridge_dead_letters AS
  SELECT d.pipeline, d.topic, d.stage, d.field, d.sqlstate, count(*) AS letters, min(d.at) AS first_at, max(d.at) AS last_at,
         (array_agg(d.error ORDER BY d.letter DESC))[1] AS last_error
  FROM attribution.bridge_dead_letter AS d WHERE d.replayed_at IS NULL
  GROUP BY d.pipeline, d.topic, d.stage, d.field, d.sqlstate;
COMMENT ON VIEW attribution.bridge_dead_letters IS 'Messages that wait for a replay, by cause.';

-- What PUBLIC has of new routines, 90_privileges.sql takes away; that leaves these as they are.
GRANT SELECT ON attribution.bridge_ledger, attribution.bridge_dead_letter, attribution.bridge_minute TO attribution_reader;
GRANT INSERT, UPDATE ON attribution.bridge_ledger TO attribution_writer;
GRANT INSERT, UPDATE, DELETE ON attribution.bridge_dead_letter, attribution.bridge_minute TO attribution_writer;
GRANT EXECUTE ON FUNCTION
  attribution._bridge_claim(text, text, integer[], integer[], bigint[], text),
  attribution._bridge_advance(text, text[], integer[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], timestamptz[], bigint),
  attribution._bridge_changed(text),
  attribution.bridge_seek(text, text, integer, bigint)
TO attribution_writer;
