# shellcheck shell=bash disable=SC2154
# Section limits: what the machine can do without any database.

limits_title()
{
    echo "limits of the machine"
    echo "  ping: 200 bytes over loopback TCP; put: into RocksDB, synced; sync: 4 KiB and fdatasync"
}

limits_prepare()
{
    read -r limits_port < <(free_ports 1)
    server_start echo KILL "$bench_bin/bench_limits" echo serve -p "$limits_port"
    await 10 "the echo server" "$bench_bin/bench_wire" echo ping -p "$limits_port" -s 0.01
}

limits_plan()
{
    printf '%s\n' "loopback ping 1" "loopback ping 16" "rocksdb put 1" "rocksdb put 16" \
        "disk sync 1" "disk sync 3" "disk sync 16"
}

limits_sample()
{
    local directory

    case $1 in
        loopback) "$bench_bin/bench_wire" echo ping -p "$limits_port" -c "$3" -s "$seconds" ;;
        *)
            directory=$(mktemp -d "$bench_dir/data/limit.XXXXXX")
            "$bench_bin/bench_limits" "$1" "$2" -d "$directory" -c "$3" -s "$seconds"
            rm -rf "$directory"
            ;;
    esac
}

limits_memory()
{
    :
}
