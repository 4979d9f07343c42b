-- Models over whole paths, anybody's: (path, how often it converted, what those conversions were worth, how often it did not).
-- Each is an aggregate, so that WHERE and GROUP BY work, and returns an array of rows, for unnest(). docs/models.md explains them.
--
-- Arguments of all: path: channels, oldest first; empty or null: no touchpoint, which goes into a row with channel null.
-- conversions, nulls: how often the path was walked with a conversion at its end, and without; null is 0.

CREATE TYPE attribution.model_credit AS (model text, channel text, conversions float8, value float8);
COMMENT ON TYPE attribution.model_credit IS 'What a model gives a channel; channel null: conversions without a touchpoint.';
CREATE TYPE attribution.markov_credit AS (channel text, removal_effect float8, conversions float8, value_removal_effect float8, value float8);
COMMENT ON TYPE attribution.markov_credit IS 'What a Markov model gives a channel. removal_effect: the share of the conversions that would be lost without it, value_removal_effect: the share of their value; null if there is nothing to lose.';
CREATE TYPE attribution.transition AS (from_state text[], to_state text[], outcome text, weight float8, probability float8);
COMMENT ON TYPE attribution.transition IS 'A step of a Markov chain: from_state null is the start; to_state null the end, with outcome conversion or null.';
CREATE TYPE attribution.shapley_credit AS (channel text, conversions float8, value float8);
COMMENT ON TYPE attribution.shapley_credit IS 'The Shapley value of a channel; channel null: conversions without a touchpoint.';
CREATE TYPE attribution.ordered_shapley_credit AS (channel text, touch_position integer, conversions float8, value float8);
COMMENT ON TYPE attribution.ordered_shapley_credit IS 'The Shapley value of a channel at a place of paths, from 1, the oldest.';
CREATE TYPE attribution.conversion_rate_credit AS (channel text, shapley_value float8, conversions float8, value_shapley_value float8, value float8);
COMMENT ON TYPE attribution.conversion_rate_credit IS 'The Shapley value of a channel in the game of conversion rates, and all conversions shared in proportion to it; it may be negative.';

CREATE FUNCTION attribution._heuristics_add(internal, path text[], conversions float8, value float8, models text[])
RETURNS internal LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_heuristics_add';
COMMENT ON FUNCTION attribution._heuristics_add(internal, text[], float8, float8, text[]) IS 'A part of heuristics().';
CREATE FUNCTION attribution._heuristics_end(internal)
RETURNS attribution.model_credit[] LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_heuristics_end';
COMMENT ON FUNCTION attribution._heuristics_end(internal) IS 'A part of heuristics().';
CREATE AGGREGATE attribution.heuristics(path text[], conversions float8, value float8, models text[]) (
  SFUNC = attribution._heuristics_add, STYPE = internal, FINALFUNC = attribution._heuristics_end);
COMMENT ON AGGREGATE attribution.heuristics(text[], float8, float8, text[]) IS
'What each of some models gives each channel of paths: models as create_rule() takes them, such as {last_touch,linear,
"position_based(0.3, 0.4)"}, the same for all rows. For time_decay the touchpoints of a path are a day apart.';

CREATE FUNCTION attribution._markov_add(internal, path text[], conversions float8)
RETURNS internal LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_markov_add';
COMMENT ON FUNCTION attribution._markov_add(internal, text[], float8) IS 'A part of markov().';
CREATE FUNCTION attribution._markov_add(internal, path text[], conversions float8, value float8, nulls float8)
RETURNS internal LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_markov_add';
COMMENT ON FUNCTION attribution._markov_add(internal, text[], float8, float8, float8) IS 'A part of markov().';
CREATE FUNCTION attribution._markov_add(internal, path text[], conversions float8, value float8, nulls float8, "order" integer)
RETURNS internal LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_markov_add';
COMMENT ON FUNCTION attribution._markov_add(internal, text[], float8, float8, float8, integer) IS 'A part of markov().';
CREATE FUNCTION attribution._markov_end(internal)
RETURNS attribution.markov_credit[] LANGUAGE c IMMUTABLE COST 1000 AS 'MODULE_PATHNAME', 'attribution_markov_end';
COMMENT ON FUNCTION attribution._markov_end(internal) IS 'A part of markov().';
CREATE AGGREGATE attribution.markov(path text[], conversions float8) (
  SFUNC = attribution._markov_add, STYPE = internal, FINALFUNC = attribution._markov_end);
COMMENT ON AGGREGATE attribution.markov(text[], float8) IS 'The Markov model of order 1, of conversions alone.';
CREATE AGGREGATE attribution.markov(path text[], conversions float8, value float8, nulls float8) (
  SFUNC = attribution._markov_add, STYPE = internal, FINALFUNC = attribution._markov_end);
COMMENT ON AGGREGATE attribution.markov(text[], float8, float8, float8) IS 'The Markov model of order 1, with values and paths without conversions.';
CREATE AGGREGATE attribution.markov(path text[], conversions float8, value float8, nulls float8, "order" integer) (
  SFUNC = attribution._markov_add, STYPE = internal, FINALFUNC = attribution._markov_end);
COMMENT ON AGGREGATE attribution.markov(text[], float8, float8, float8, integer) IS
'The Markov model of an order up to 10: states are windows of so many channels. A channel''s removal effect is the share of the
conversions that is lost if every step to a state with it ends the walk; conversions and values are shared in proportion. Solved
exactly. attribution.work_mem bounds the memory, and so the number of states.';

CREATE FUNCTION attribution._transitions_add(internal, path text[], conversions float8, nulls float8, "order" integer)
RETURNS internal LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_transitions_add';
COMMENT ON FUNCTION attribution._transitions_add(internal, text[], float8, float8, integer) IS 'A part of transitions().';
CREATE FUNCTION attribution._transitions_end(internal)
RETURNS attribution.transition[] LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_transitions_end';
COMMENT ON FUNCTION attribution._transitions_end(internal) IS 'A part of transitions().';
CREATE AGGREGATE attribution.transitions(path text[], conversions float8, nulls float8, "order" integer) (
  SFUNC = attribution._transitions_add, STYPE = internal, FINALFUNC = attribution._transitions_end);
COMMENT ON AGGREGATE attribution.transitions(text[], float8, float8, integer) IS
'The steps of the Markov chain that markov() solves. weight: how often it was taken; probability: its share of the steps from
there. Steps from a state to itself are not counted: they change no removal effect.';

CREATE FUNCTION attribution._shapley_add(internal, path text[], conversions float8)
RETURNS internal LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_shapley_add';
COMMENT ON FUNCTION attribution._shapley_add(internal, text[], float8) IS 'A part of shapley().';
CREATE FUNCTION attribution._shapley_add(internal, path text[], conversions float8, value float8)
RETURNS internal LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_shapley_add';
COMMENT ON FUNCTION attribution._shapley_add(internal, text[], float8, float8) IS 'A part of shapley().';
CREATE FUNCTION attribution._shapley_end(internal)
RETURNS attribution.shapley_credit[] LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_shapley_end';
COMMENT ON FUNCTION attribution._shapley_end(internal) IS 'A part of shapley().';
CREATE AGGREGATE attribution.shapley(path text[], conversions float8) (
  SFUNC = attribution._shapley_add, STYPE = internal, FINALFUNC = attribution._shapley_end);
COMMENT ON AGGREGATE attribution.shapley(text[], float8) IS 'The Shapley value of each channel, of conversions alone.';
CREATE AGGREGATE attribution.shapley(path text[], conversions float8, value float8) (
  SFUNC = attribution._shapley_add, STYPE = internal, FINALFUNC = attribution._shapley_end);
COMMENT ON AGGREGATE attribution.shapley(text[], float8, float8) IS
'The Shapley value of each channel in the game where a coalition has the conversions that need no other channel: a conversion is
shared equally among the distinct channels of its path.';

CREATE FUNCTION attribution._shapley_ordered_add(internal, path text[], conversions float8)
RETURNS internal LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_shapley_ordered_add';
COMMENT ON FUNCTION attribution._shapley_ordered_add(internal, text[], float8) IS 'A part of shapley_ordered().';
CREATE FUNCTION attribution._shapley_ordered_add(internal, path text[], conversions float8, value float8)
RETURNS internal LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_shapley_ordered_add';
COMMENT ON FUNCTION attribution._shapley_ordered_add(internal, text[], float8, float8) IS 'A part of shapley_ordered().';
CREATE FUNCTION attribution._shapley_ordered_end(internal)
RETURNS attribution.ordered_shapley_credit[] LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_shapley_ordered_end';
COMMENT ON FUNCTION attribution._shapley_ordered_end(internal) IS 'A part of shapley_ordered().';
CREATE AGGREGATE attribution.shapley_ordered(path text[], conversions float8) (
  SFUNC = attribution._shapley_ordered_add, STYPE = internal, FINALFUNC = attribution._shapley_ordered_end);
COMMENT ON AGGREGATE attribution.shapley_ordered(text[], float8) IS 'shapley() by place, of conversions alone.';
CREATE AGGREGATE attribution.shapley_ordered(path text[], conversions float8, value float8) (
  SFUNC = attribution._shapley_ordered_add, STYPE = internal, FINALFUNC = attribution._shapley_ordered_end);
COMMENT ON AGGREGATE attribution.shapley_ordered(text[], float8, float8) IS
'shapley() by place: a channel''s share of a conversion is split equally over its places in the path.';

CREATE FUNCTION attribution._conversion_rate_add(internal, path text[], conversions float8, value float8, nulls float8)
RETURNS internal LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_conversion_rate_add';
COMMENT ON FUNCTION attribution._conversion_rate_add(internal, text[], float8, float8, float8) IS 'A part of shapley_conversion_rate().';
CREATE FUNCTION attribution._conversion_rate_end(internal)
RETURNS attribution.conversion_rate_credit[] LANGUAGE c IMMUTABLE COST 1000 AS 'MODULE_PATHNAME', 'attribution_conversion_rate_end';
COMMENT ON FUNCTION attribution._conversion_rate_end(internal) IS 'A part of shapley_conversion_rate().';
CREATE AGGREGATE attribution.shapley_conversion_rate(path text[], conversions float8, value float8, nulls float8) (
  SFUNC = attribution._conversion_rate_add, STYPE = internal, FINALFUNC = attribution._conversion_rate_end);
COMMENT ON AGGREGATE attribution.shapley_conversion_rate(text[], float8, float8, float8) IS
'The Shapley value of each channel in the game where a coalition has the conversion rate of the paths that need no other channel:
conversions / (conversions + nulls). All coalitions are tried: for at most 16 channels.';

CREATE TYPE attribution.assist AS (channel text, first_conversions float8, last_conversions float8, assisted_conversions float8, assisted_ratio float8);
COMMENT ON TYPE attribution.assist IS 'Conversions that a channel began, ended, and assisted without ending them; assisted_ratio: of those it assisted to those it ended.';
CREATE TYPE attribution.length_count AS (path_length integer, conversions float8, value float8);
COMMENT ON TYPE attribution.length_count IS 'How many conversions have paths of a length; 0: organic.';
CREATE TYPE attribution.lag_count AS (lag interval, conversions float8, value float8);
COMMENT ON TYPE attribution.lag_count IS 'How many conversions came a time after the first touchpoint; lag: the beginning of a step.';

CREATE FUNCTION attribution._assists_add(internal, path text[], conversions float8)
RETURNS internal LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_assists_add';
COMMENT ON FUNCTION attribution._assists_add(internal, text[], float8) IS 'A part of path_assists().';
CREATE FUNCTION attribution._assists_end(internal)
RETURNS attribution.assist[] LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_assists_end';
COMMENT ON FUNCTION attribution._assists_end(internal) IS 'A part of path_assists().';
CREATE AGGREGATE attribution.path_assists(path text[], conversions float8) (
  SFUNC = attribution._assists_add, STYPE = internal, FINALFUNC = attribution._assists_end);
COMMENT ON AGGREGATE attribution.path_assists(text[], float8) IS
'For each channel of paths: how many conversions it began, ended, and assisted without ending them.';

CREATE FUNCTION attribution._path_lengths_add(internal, path text[], conversions float8, value float8)
RETURNS internal LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_path_lengths_add';
COMMENT ON FUNCTION attribution._path_lengths_add(internal, text[], float8, float8) IS 'A part of length_counts().';
CREATE FUNCTION attribution._path_lengths_end(internal)
RETURNS attribution.length_count[] LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_path_lengths_end';
COMMENT ON FUNCTION attribution._path_lengths_end(internal) IS 'A part of length_counts().';
CREATE AGGREGATE attribution.length_counts(path text[], conversions float8, value float8) (
  SFUNC = attribution._path_lengths_add, STYPE = internal, FINALFUNC = attribution._path_lengths_end);
COMMENT ON AGGREGATE attribution.length_counts(text[], float8, float8) IS 'How many conversions have paths of which length; 0: no touchpoint.';

CREATE FUNCTION attribution._time_lags_add(internal, lag interval, conversions float8, value float8, step interval)
RETURNS internal LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_time_lags_add';
COMMENT ON FUNCTION attribution._time_lags_add(internal, interval, float8, float8, interval) IS 'A part of lag_counts().';
CREATE FUNCTION attribution._time_lags_end(internal)
RETURNS attribution.lag_count[] LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'attribution_time_lags_end';
COMMENT ON FUNCTION attribution._time_lags_end(internal) IS 'A part of lag_counts().';
CREATE AGGREGATE attribution.lag_counts(lag interval, conversions float8, value float8, step interval) (
  SFUNC = attribution._time_lags_add, STYPE = internal, FINALFUNC = attribution._time_lags_end);
COMMENT ON AGGREGATE attribution.lag_counts(interval, float8, float8, interval) IS
'How many conversions came how long after the first touchpoint of their path, in steps. lag null: no touchpoint, not counted.';
