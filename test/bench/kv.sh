# shellcheck shell=bash disable=SC2154
# Section kv: our nodes, etcd and Redis, each three nodes, by the load generators of this folder.

kv_keys=20000

kv_title()
{
    cat <<'TITLE'
key-value, 200-byte values, three nodes each; GET of one of 20,000 keys, PUT of a new key
  dynamo: N=3 R=2 W=2; a write is on the disks of two of three; sixteen clients have 48 connections
  etcd: through its JSON gateway over HTTP keep-alive, which is 5 to 25 % slower than gRPC;
        every client talks to the leader, its best case; a write is on the disks of two of three;
        linearizable reads
  redis: appendfsync always; SET and WAIT 1 in one write (on the master's disk, processed by one
        replica); a read asks the master alone
TITLE
}

kv_prepare()
{
    cluster_start --no-postgres
    PGPASSWORD=$("$root/test/cluster" password)
    export PGPASSWORD
    etcd_start
    redis_start
    "$bench_bin/bench_dynamo" dynamo load -p "$cluster_ports" -n "$kv_keys" -c 64 >/dev/null
    kv_load etcd -p "$etcd_leader_port"
    kv_load redis -p "${redis_ports[0]}"
}

kv_load()
{
    "$bench_bin/bench_wire" "$1" load "${@:2}" -n "$kv_keys" -c 64 >/dev/null
}

kv_plan()
{
    local clients operation system

    for clients in "${client_counts[@]}"; do
        for operation in put get; do
            for system in dynamo etcd redis; do
                echo "$system $operation $clients"
            done
        done
    done
}

kv_sample()
{
    local system=$1 operation=$2 ports program=bench_wire

    case $system in
        dynamo) ports=$cluster_ports program=bench_dynamo ;;
        etcd) ports=$etcd_leader_port ;;
        redis) ports=${redis_ports[0]} ;;
    esac
    "$bench_bin/$program" "$system" "$operation" -p "$ports" -n "$kv_keys" -c "$3" -s "$seconds"
}

kv_memory()
{
    memory_of_processes "dynamo, three nodes" "${cluster_pids[@]}"
    memory_of_processes "etcd, three nodes" "${etcd_pids[@]}"
    memory_of_processes "redis, master and two replicas" "${redis_pids[@]}"
}
