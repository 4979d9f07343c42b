"""Other sessions: psql processes that a script starts with \\!, side by side, and waits for."""

import shlex

# Looks for a session that is at its CALL, some more times for it to get on, and ends it.
KILL = """DO $do$ DECLARE looks int := 0; BEGIN FOR i IN 1 .. 5000 LOOP
    PERFORM pg_stat_clear_snapshot();
    looks := looks + (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'victim'
                      AND datname = current_database() AND state = 'active' AND query LIKE 'CALL%');
    IF looks > {looks} THEN
        PERFORM pg_{ending}_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'victim' AND datname = current_database();
        EXIT;
    END IF;
END LOOP; END $do$""".replace("\n", " ")


def sessions(check, all_commands, kill=""):
    """Each session has its commands; what they complain of is a difference of `check`.

    kill: cancel or terminate the first when it has been at its CALL for a number of looks, as "cancel 100".
    """
    processes = [f"{_psql(commands)} 2>&1 >/dev/null </dev/null | sed {shlex.quote(f's/^/diff|{check}|/')}"
                 for commands in all_commands]
    if kill:
        ending, looks = kill.split()
        processes[0] = f"PGAPPNAME=victim {_psql(all_commands[0])} >/dev/null 2>&1 </dev/null"
        processes.append(f"{_psql([KILL.format(ending=ending, looks=looks)])} >/dev/null </dev/null")
    return "\\! " + " & ".join(processes) + (" & wait" if len(processes) > 1 else "") + "\n"


def _psql(commands):
    return "psql -X -q -v ON_ERROR_STOP=1 " + " ".join("-c " + shlex.quote(command) for command in commands)
