# shellcheck shell=bash disable=SC2034,SC2154
# Starts, awaits and stops every server of a run. Servers listen on free loopback ports, keep
# everything under $bench_dir and run as an unprivileged user when the caller is root.

declare -A server_signals # process id -> signal that ends it at once
as_server=()              # prefix that runs a command as the servers' user

say()
{
    printf '%s\n' "$*" >&2
}

die()
{
    say "bench: $*"
    exit 1
}

# await SECONDS WHAT COMMAND...: polls until COMMAND succeeds.
await()
{
    local deadline=$((SECONDS + $1)) what=$2

    shift 2
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || die "$what did not come about; logs are in $bench_dir/log"
        sleep 0.1
    done
}

# Postgres refuses root, so root lends the servers to user postgres, who must be able to reach the
# folder. Socket paths are limited to 107 bytes, hence the limit on the folder's name.
servers_begin()
{
    bench_dir=$(realpath -m "${BENCH_DIR:-$root/build/bench}")
    if ((EUID == 0)); then
        as_server=(setpriv --reuid=postgres --regid=postgres --init-groups)
    fi
    mkdir -p "$bench_dir"
    if ((${#bench_dir} > 80)) || ! "${as_server[@]}" test -x "$bench_dir"; then
        bench_dir=$(mktemp -d /tmp/dynamo_bench.XXXXXX)
        chmod 755 "$bench_dir"
        say "bench: the servers cannot use the build folder; data and logs are in $bench_dir"
    fi
    rm -rf "${bench_dir:?}"/{data,log,results}
    mkdir -p "$bench_dir"/{data,log,results}
    ((EUID != 0)) || chown -R postgres: "$bench_dir"/{data,log}
    export PATH=$PATH:/usr/sbin:$("$("$root/test/pg-config")" --bindir)
    export PGCONNECT_TIMEOUT=10 LC_ALL=C
    unset PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS PGSERVICE
    cd "$bench_dir" || die "cannot enter $bench_dir" # one that the servers' user can enter
}

# Prints COUNT free loopback ports below the range that outgoing connections use.
free_ports()
{
    perl -MIO::Socket::INET -e '
        my @held;
        while (@held < $ARGV[0]) {
            my $socket = IO::Socket::INET->new(
                Listen => 1, LocalAddr => "127.0.0.1", LocalPort => 20000 + int(rand(12000)));
            push @held, $socket if $socket;
        }
        print join(" ", map { $_->sockport } @held), "\n";' "$1"
}

# server_start NAME SIGNAL COMMAND...: starts it in the background; $server_pid is its process id.
server_start()
{
    local name=$1 signal=$2

    shift 2
    "${as_server[@]}" "$@" >"$bench_dir/log/$name.log" 2>&1 </dev/null &
    server_pid=$!
    server_signals[$server_pid]=$signal
}

servers_stop()
{
    local pid

    for pid in "${!server_signals[@]}"; do
        kill -"${server_signals[$pid]}" "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    server_signals=()
    cluster_stop
}

servers_clean()
{
    trap - EXIT INT TERM HUP
    servers_stop
    rm -rf "${bench_dir:?}/data"
}

# cluster_start [test/cluster up arguments]...: three of our nodes, and a PostgreSQL unless told not.
cluster_start()
{
    export CLUSTER_DIR=$bench_dir/data/cluster
    "$root/test/cluster" up --nodes 3 "$@" >"$bench_dir/log/cluster.log" 2>&1 ||
        die "our cluster did not start: $(tail -5 "$bench_dir/log/cluster.log")"
    mapfile -t cluster_pids < <(cluster_column node 5)
    cluster_ports=$(cluster_column node 4 | paste -sd,)
}

# Column of the lines of `test/cluster status` that begin with a word.
cluster_column()
{
    "$root/test/cluster" status | awk -v word="$1" -v column="$2" '$1 == word { print $column }'
}

cluster_stop()
{
    [[ ! -f $bench_dir/data/cluster/state ]] ||
        "$root/test/cluster" down >>"$bench_dir/log/cluster.log" 2>&1 ||
        say "bench: test/cluster down failed; see $bench_dir/log/cluster.log"
}

etcd_start()
{
    local ports name peers=() i

    read -ra ports < <(free_ports 6)
    etcd_ports=("${ports[@]:0:3}")
    etcd_pids=()
    for i in 0 1 2; do
        peers+=("etcd$i=http://127.0.0.1:${ports[i + 3]}")
    done
    for i in 0 1 2; do
        name=etcd$i
        server_start "$name" KILL etcd --name "$name" --data-dir "$bench_dir/data/$name" \
            --listen-client-urls "http://127.0.0.1:${ports[i]}" \
            --advertise-client-urls "http://127.0.0.1:${ports[i]}" \
            --listen-peer-urls "http://127.0.0.1:${ports[i + 3]}" \
            --initial-advertise-peer-urls "http://127.0.0.1:${ports[i + 3]}" \
            --initial-cluster "$(IFS=, && echo "${peers[*]}")" --initial-cluster-state new
        etcd_pids+=("$server_pid")
    done
    for i in 0 1 2; do
        await 30 "the etcd cluster" "$bench_bin/bench_wire" etcd load -p "${ports[i]}" -n 1
    done
    etcd_leader_port=$(etcd_find_leader "${etcd_ports[@]}")
    [[ -n $etcd_leader_port ]] || die "etcd has no leader"
}

# Prints the port, of those given, whose member says that it leads.
etcd_find_leader()
{
    perl -MHTTP::Tiny -e '
        for my $port (@ARGV) {
            my $status = HTTP::Tiny->new->post("http://127.0.0.1:$port/v3/maintenance/status",
                { content => "{}" })->{content};
            my ($member) = $status =~ /"member_id":"(\d+)"/;
            print "$port\n" if $status =~ /"leader":"$member"/;
        }' "$@"
}

redis_start()
{
    local name i options

    read -ra redis_ports < <(free_ports 3)
    redis_pids=()
    for i in 0 1 2; do
        name=redis$i
        "${as_server[@]}" mkdir "$bench_dir/data/$name"
        options=(--bind 127.0.0.1 --port "${redis_ports[i]}" --dir "$bench_dir/data/$name"
            --appendonly yes --appendfsync always --save "")
        ((i == 0)) || options+=(--replicaof 127.0.0.1 "${redis_ports[0]}")
        server_start "$name" KILL redis-server "${options[@]}"
        redis_pids+=("$server_pid")
    done
    await 30 "Redis replication" redis_replicas_are_in_step
}

redis_replicas_are_in_step()
{
    [[ $(redis-cli -p "${redis_ports[0]}" info replication | grep -c state=online) == 2 ]]
}

# pg_start NAME PORT [SETTING]...: starts the cluster in data/NAME, making it first where it is not
# there.
pg_start()
{
    local name=$1 port=$2 data=$bench_dir/data/$1 settings setting

    shift 2
    [[ -d $data ]] || "${as_server[@]}" initdb -D "$data" -U postgres -A trust --no-sync \
        -E UTF8 --locale=C >"$bench_dir/log/initdb.log" 2>&1
    settings=(port="$port" listen_addresses=127.0.0.1 unix_socket_directories="$bench_dir/data"
        shared_buffers=256MB cluster_name="$name" "$@")
    # A base backup brings the primary's settings along: these come later and win.
    for setting in "${settings[@]}"; do
        printf "%s = '%s'\n" "${setting%%=*}" "${setting#*=}"
    done | "${as_server[@]}" tee -a "$data/postgresql.conf" >/dev/null
    server_start "$name" QUIT postgres -D "$data"
    await 30 "PostgreSQL $name" pg_isready -q -h "$bench_dir/data" -p "$port"
}

# pg_psql PORT DATABASE [psql arguments]...
pg_psql()
{
    local port=$1 database=$2

    shift 2
    "${as_server[@]}" psql -X -q -A -t -v ON_ERROR_STOP=1 -h "$bench_dir/data" -p "$port" \
        -U postgres -d "$database" "$@"
}

# Makes the cluster NAME at PORT acknowledge a commit once it is on its own disk and on one of two
# standbys.
pg_add_quorum()
{
    local name=$1 port=$2 standby ports

    read -ra ports < <(free_ports 2)
    for standby in s1 s2; do
        "${as_server[@]}" pg_basebackup -R -X stream -c fast --no-sync \
            -D "$bench_dir/data/$standby" -h 127.0.0.1 -p "$port" -U postgres
        pg_start "$standby" "${ports[${standby#s} - 1]}"
    done
    pg_psql "$port" postgres -c "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (s1, s2)'" \
        -c 'SELECT pg_reload_conf()' >/dev/null
    await 30 "synchronous replication of $name" pg_quorum_holds "$port"
}

pg_quorum_holds()
{
    [[ $(pg_psql "$1" postgres \
        -c "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'") == 2 ]]
}
