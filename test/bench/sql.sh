# shellcheck shell=bash disable=SC2154
# Section sql: a foreign table of ours beside postgres_fdw to one PostgreSQL (one copy) and to one
# with quorum commit (two of three copies, the promise that ours gives). All foreign tables belong
# to one local PostgreSQL.

sql_rows=100000
sql_picked=10000
sql_database=dynamo # of the local PostgreSQL that test/cluster makes
sql_systems=(local dynamo_fdw postgres_fdw postgres_fdw_quorum)

sql_title()
{
    cat <<'TITLE'
SQL through one local PostgreSQL, 200-byte values, prepared statements by pgbench
  dynamo_fdw: three nodes, N=3 R=2 W=2, each row's v an array of its siblings
  postgres_fdw: one copy; postgres_fdw_quorum: synchronous_standby_names 'ANY 1 (s1, s2)'
  postgres_fdw runs at its best: batch_size 1000, fetch_size 10000, foreign tables analyzed
  copy, insert_select: rows/s of one statement of 100,000 rows
  join: local rows/s, 10,000 of them with a foreign table of 100,000
TITLE
}

sql_prepare()
{
    read -r sql_one sql_quorum < <(free_ports 2)
    cluster_start --pg shared_buffers=256MB
    sql_local=$(cluster_column postgres 3)
    # Its socket is in a folder of its own; here it is beside the others'.
    ln -s "$("$root/test/cluster" psql -XAtc 'SHOW unix_socket_directories')/.s.PGSQL.$sql_local" \
        "$bench_dir/data"
    pg_start one "$sql_one"
    pg_start quorum "$sql_quorum"
    pg_add_quorum quorum "$sql_quorum"
    sql_prepare_local
    sql_prepare_dynamo_fdw
    sql_prepare_postgres_fdw postgres_fdw "$sql_one"
    sql_prepare_postgres_fdw postgres_fdw_quorum "$sql_quorum"
}

# Tables of a plain PostgreSQL: item is read, fresh takes single rows, copied takes bulk.
sql_plain_tables()
{
    echo "CREATE TABLE $1.item (id bigint PRIMARY KEY, v text);
          CREATE TABLE $1.fresh (id bigint PRIMARY KEY, v text);
          CREATE TABLE $1.copied (id bigint PRIMARY KEY, v text);"
}

sql_prepare_local()
{
    pg_psql "$sql_local" "$sql_database" <<SQL
        CREATE SCHEMA local;
        $(sql_plain_tables local)
        INSERT INTO local.item
            SELECT i, left(string_agg(md5(i::text || ',' || j), ''), 200)
            FROM generate_series(1, $sql_rows) i, generate_series(1, 7) j GROUP BY i;
        CREATE TABLE local.picked AS
            SELECT id FROM local.item ORDER BY md5(id::text) LIMIT $sql_picked;
        VACUUM ANALYZE;
        COPY local.item TO '$bench_dir/data/item.copy';
SQL
}

sql_prepare_dynamo_fdw()
{
    sed 's/\t\(.*\)/\t{\1}/' "$bench_dir/data/item.copy" |
        "${as_server[@]}" tee "$bench_dir/data/item.siblings" >/dev/null
    pg_psql "$sql_local" "$sql_database" <<SQL
        CREATE SCHEMA dynamo_fdw;
        $(sql_dynamo_table item item)
        $(sql_dynamo_table fresh fresh)
        INSERT INTO dynamo_fdw.item SELECT id, ARRAY[v] FROM local.item;
SQL
}

# sql_dynamo_table TABLE BUCKET
sql_dynamo_table()
{
    echo "CREATE FOREIGN TABLE dynamo_fdw.$1 (id bigint OPTIONS (key 'true'), v text[])
          SERVER dynamo OPTIONS (bucket '$2');"
}

sql_prepare_postgres_fdw()
{
    local system=$1 port=$2

    pg_psql "$port" postgres -c 'CREATE DATABASE bench'
    pg_psql "$port" bench -c "$(sql_plain_tables public)"
    pg_psql "$sql_local" "$sql_database" <<SQL
        SET client_min_messages = warning;
        CREATE EXTENSION IF NOT EXISTS postgres_fdw;
        CREATE SERVER $system FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1',
            port '$port', dbname 'bench', batch_size '1000', fetch_size '10000');
        CREATE USER MAPPING FOR CURRENT_USER SERVER $system OPTIONS (user 'postgres');
        CREATE SCHEMA $system;
        IMPORT FOREIGN SCHEMA public FROM SERVER $system INTO $system;
        INSERT INTO $system.item SELECT * FROM local.item;
SQL
    pg_psql "$port" bench -c 'VACUUM ANALYZE'
    pg_psql "$sql_local" "$sql_database" -c "ANALYZE $system.item"
}

sql_plan()
{
    local clients operation system

    for clients in "${client_counts[@]}"; do
        for operation in select insert; do
            for system in "${sql_systems[@]}"; do
                echo "$system $operation $clients"
            done
        done
    done
    for operation in copy insert_select join; do
        for system in "${sql_systems[@]}"; do
            echo "$system $operation 1"
        done
    done
}

sql_sample()
{
    case $2 in
        select | insert) sql_sample_pgbench "$@" ;;
        *) sql_sample_bulk "$1" "$2" ;;
    esac
}

# Transactions of one statement. Latencies come from a sample of pgbench's log, to keep the writing
# of it small.
sql_sample_pgbench()
{
    local system=$1 operation=$2 clients=$3 script=$bench_dir/data/pgbench.sql
    local log=$bench_dir/data/pgbench_log out=$bench_dir/log/pgbench.out

    sql_point_script "$system" "$operation" | "${as_server[@]}" tee "$script" >/dev/null
    "${as_server[@]}" pgbench -n -M prepared -h "$bench_dir/data" -p "$sql_local" -U postgres \
        -f "$script" -D value="$(printf 'v%.0s' {1..200})" -c "$clients" \
        -j "$((clients > 1 ? 2 : 1))" -T "$seconds" -l --log-prefix="$log" --sampling-rate=0.2 \
        "$sql_database" >"$out" 2>&1 || die "pgbench failed: $(tail -3 "$out")"
    echo "$(awk '/^tps/ { print $3 }' "$out")" "$(sort -n -k3,3 "$log".* | awk '
        { us[NR] = $3 } END { print us[int((NR + 1) / 2)], us[int(NR * 0.99 + 0.99)] }')"
    rm -f "$log".*
}

sql_point_script()
{
    if [[ $2 == select ]]; then
        printf '%s\n' "\\set id random(1, $sql_rows)" "SELECT v FROM $1.item WHERE id = :id;"
    else
        # From a range so wide that no key is drawn twice.
        printf '%s\n' '\set id random(1, 1000000000000000)' \
            "INSERT INTO $1.fresh VALUES (:id, $(sql_value "$1" :value));"
    fi
}

# A text as column v of a system's tables takes it.
sql_value()
{
    if [[ $1 == dynamo_fdw ]]; then echo "ARRAY[$2]::text[]"; else echo "$2"; fi
}

# One statement, timed by psql once the foreign server has been connected to.
sql_sample_bulk()
{
    local system=$1 operation=$2 rows=$sql_rows milliseconds

    [[ $operation != join ]] || rows=$sql_picked
    sql_bulk_reset "$system" "$operation"
    milliseconds=$(pg_psql "$sql_local" "$sql_database" <<SQL | awk '/^Time:/ { print $2 }'
        SELECT v FROM $system.item WHERE id = 1 \g /dev/null
        \timing on
        $(sql_bulk_statement "$system" "$operation")
SQL
    )
    awk -v ms="$milliseconds" -v rows="$rows" \
        'BEGIN { printf "%.0f %.0f %.0f\n", rows * 1000 / ms, ms * 1000, ms * 1000 }'
}

# An empty table to write to; a bucket is emptied by taking another.
sql_bulk_reset()
{
    case $1.$2 in
        *.join) ;;
        dynamo_fdw.*)
            pg_psql "$sql_local" "$sql_database" -c "SET client_min_messages = warning" \
                -c "DROP FOREIGN TABLE IF EXISTS dynamo_fdw.copied" \
                -c "$(sql_dynamo_table copied "copied_$(date +%s%N)")"
            ;;
        *) pg_psql "$sql_local" "$sql_database" -c "TRUNCATE $1.copied" ;;
    esac
}

sql_bulk_statement()
{
    local file=item.copy text=f.v

    [[ $1 != dynamo_fdw ]] || file=item.siblings text='f.v[1]'
    case $2 in
        copy) echo "COPY $1.copied FROM '$bench_dir/data/$file';" ;;
        insert_select)
            echo "INSERT INTO $1.copied SELECT id, $(sql_value "$1" v) FROM local.item;" ;;
        join)
            echo "SELECT sum(length($text)) FROM local.picked p JOIN $1.item f ON f.id = p.id;" ;;
    esac
}

# A backend that has run a point SELECT and the join: all its memory, and what is its own alone.
sql_memory()
{
    local system

    for system in "${sql_systems[@]}"; do
        memory_add "backend with $system, after the join" "$(sql_backend_status "$system" | awk '
            { mb[$1] = $2 / 1024 }
            END { printf "%.0f MB, of which private %.1f", mb["VmRSS:"], mb["RssAnon:"] }')"
    done
    memory_of_processes "dynamo, three nodes, after sql" "${cluster_pids[@]}"
}

sql_backend_status()
{
    pg_psql "$sql_local" "$sql_database" <<SQL
        SELECT v FROM $1.item WHERE id = 1 \g /dev/null
        $(sql_bulk_statement "$1" join | sed 's/;$//') \g /dev/null
        SELECT pg_backend_pid() AS pid \gset
        \setenv BACKEND :pid
        \! cat /proc/\$BACKEND/status
SQL
}
