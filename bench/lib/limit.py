"""The limit: how long it takes to only add up the bytes of all pages of some relations, by a parallel query with two workers."""

import os
import shutil
import subprocess
import time

from figure import WrongAnswer
from server import ROOT

PAGES_AT_A_TIME = 128
QUERY = "SELECT count(*), sum(add_up(relation, first, pages))::bigint FROM limit_pieces"


class Limit:
    def __init__(self, server, relations):
        """`relations`: a query for their oids."""
        directory = ROOT / "bench/limit"
        subprocess.run(["make", "-s", "-C", directory, f"PG_CONFIG={os.environ.get('PG_CONFIG', 'pg_config')}"], check=True)
        # Where the server can read it, whoever owns this tree.
        module = shutil.copy(directory / "limit.so", server.value("SELECT current_setting('data_directory')"))
        self.server, self.session = server, server.connect().cursor()
        server.run(f"CREATE FUNCTION add_up(oid, bigint, bigint) RETURNS bigint LANGUAGE c STRICT PARALLEL SAFE COST 1000000 AS '{module}'")
        # A piece fills a page, as that is what a parallel scan deals out.
        server.run("CREATE TABLE limit_pieces (relation oid, first bigint, pages bigint, padding text) WITH (parallel_workers = 2)")
        server.run("ALTER TABLE limit_pieces ALTER padding SET STORAGE PLAIN")
        server.run(f"""
            INSERT INTO limit_pieces
            SELECT oid, first, least({PAGES_AT_A_TIME}, pages - first), repeat('-', 5000)
              FROM (SELECT oid, pg_relation_size(oid) / current_setting('block_size')::bigint AS pages FROM ({relations}) AS r (oid)) AS r,
                generate_series(0, pages - 1, {PAGES_AT_A_TIME}) AS first""")
        server.run("VACUUM (ANALYZE) limit_pieces")
        self.session.execute("SET max_parallel_workers_per_gather = 0")
        alone = self.run()[1]
        self.session.execute("SET max_parallel_workers_per_gather = 2; SET min_parallel_table_scan_size = 0; SET jit = off;"
                             " SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0")
        self.session.execute("EXPLAIN " + QUERY)
        plan = "\n".join(line for line, in self.session.fetchall())
        if "Workers Planned: 2" not in plan or self.run()[1] != alone:
            raise WrongAnswer(f"the limit is not measured by two workers, or sums differ:\n{plan}")

    def run(self):
        """(seconds, (pieces, sum of their bytes))"""
        began = time.monotonic()
        self.session.execute(QUERY)
        return time.monotonic() - began, self.session.fetchone()
