# shellcheck shell=bash disable=SC2154
# Keeps samples, and prints medians, ratios and marks. A sample is one line: operations a second,
# p50 us, p99 us.

# The first marks: ours over theirs, in operations a second.
marks=(
    "kv dynamo put 16  redis put 16  1.4"
    "kv dynamo put 16  etcd put 16  4"
    "kv dynamo get 16  etcd get 16  4"
    "kv dynamo put 1  etcd put 1  2"
    "kv dynamo get 1  etcd get 1  3"
    "sql dynamo_fdw select 1  postgres_fdw select 1  2"
    "sql dynamo_fdw select 16  postgres_fdw select 16  2"
    "sql dynamo_fdw insert 1  postgres_fdw_quorum insert 1  1.5"
    "sql dynamo_fdw insert 16  postgres_fdw_quorum insert 16  2"
    "sql dynamo_fdw copy 1  postgres_fdw copy 1  5"
    "sql dynamo_fdw copy 1  postgres_fdw insert_select 1  1"
    "sql dynamo_fdw join 1  postgres_fdw join 1  3"
)

# results_add SYSTEM OPERATION CLIENTS SAMPLE
results_add()
{
    [[ $4 =~ ^[0-9.]+\ [0-9.]+\ [0-9.]+$ ]] || die "no result for $1 $2 with $3 clients: '$4'"
    printf '%s\n' "$4" >>"$bench_dir/results/$1.$2.$3"
}

# The sample with the median rate, empty where none was taken.
results_median()
{
    local samples=$bench_dir/results/$1.$2.$3

    [[ ! -s $samples ]] || sort -n "$samples" |
        awk '{ line[NR] = $0 } END { print line[int((NR + 1) / 2)] }'
}

results_rate()
{
    results_median "$@" | cut -d' ' -f1
}

memory_add()
{
    printf '%s\t%s\n' "$1" "$2" >>"$bench_dir/results/memory"
}

# memory_of_processes WHAT PID...: resident memory of each, in MB.
memory_of_processes()
{
    local what=$1 pid sizes=()

    shift
    for pid in "$@"; do
        sizes+=("$(awk '/^VmRSS/ { printf "%.0f", $2 / 1024 }' "/proc/$pid/status")")
    done
    memory_add "$what" "${sizes[*]} MB"
}

# The system that the others of a section are compared with, empty where there is none.
report_subject()
{
    case $1 in
        kv) echo dynamo ;;
        sql) echo dynamo_fdw ;;
    esac
}

# A section's plan by operation and clients, so that what is compared stands together.
report_order()
{
    "${1}_plan" | awk '!($2 in rank) { rank[$2] = NR } { print rank[$2], $0 }' |
        sort -s -n -k1,1 -k4,4 | cut -d' ' -f2-
}

report_section()
{
    local section=$1 subject system operation clients rate p50 p99 ours ratio

    subject=$(report_subject "$section")
    printf '\n%s\n' "$("${section}_title")"
    printf '%-20s %-13s %7s %10s %9s %9s  %s\n' system operation clients ops/s "p50 us" "p99 us" \
        "${subject:+$subject / it}"
    report_order "$section" | while read -r system operation clients; do
        read -r rate p50 p99 < <(results_median "$system" "$operation" "$clients")
        ours=$(results_rate "$subject" "$operation" "$clients")
        ratio=
        if [[ -n $ours && $system != "$subject" ]]; then
            ratio=$(awk -v a="$ours" -v b="$rate" 'BEGIN { printf "%.2f", a / b }')
        fi
        printf '%-20s %-13s %7s %10.0f %9.0f %9.0f  %s\n' "$system" "$operation" "$clients" \
            "$rate" "$p50" "$p99" "$ratio"
    done
}

# Prints the marks of the given sections and whether they are met.
report_marks()
{
    local mark section us theirs wanted words

    printf '\nmarks (medians of this run)\n'
    for mark in "${marks[@]}"; do
        read -ra words <<<"$mark"
        section=${words[0]}
        [[ " $* " == *" $section "* ]] || continue
        us=$(results_rate "${words[@]:1:3}")
        theirs=$(results_rate "${words[@]:4:3}")
        wanted=${words[7]}
        [[ -n $us && -n $theirs ]] || continue
        awk -v us="$us" -v theirs="$theirs" -v wanted="$wanted" -v ours="${words[*]:1:3}" \
            -v peer="${words[*]:4:3}" 'BEGIN {
                printf "%-6s %5.2f (wanted %4s)  %s against %s\n",
                    (us / theirs >= wanted ? "met" : "MISSED"), us / theirs, wanted, ours, peer }'
    done
}

report_print()
{
    local section

    printf '\n%s, %s processors shared by clients and servers, medians of %s rounds of %s s\n' \
        "$(uname -sr)" "$(nproc)" "$rounds" "$seconds"
    for section in "$@"; do
        report_section "$section"
    done
    if [[ -s $bench_dir/results/memory ]]; then
        printf '\nresident memory\n'
        awk -F '\t' '{ printf "%-50s %s\n", $1, $2 }' "$bench_dir/results/memory"
    fi
    report_marks "$@"
}
