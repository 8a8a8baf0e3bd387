# Replicas that missed something become equal again by themselves: a node whose disk was wiped, and
# one that was cut off under load while nobody kept hints for it. In a network namespace of the
# test's own.
use strict;
use warnings;
use BlackHole;
use DynamoCluster;
use DynamoLoad;
use Latencies qw(failed percentile);
use PacedLoad;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'needs root, ip and nft' if !BlackHole::is_possible();
BlackHole::enter();

my $nodes   = 5;
my $rows    = 100_000;
my $cut_for = 60;       # seconds
my $cluster = DynamoCluster->new(nodes => $nodes, config => ['hints_max_mb=0']);
my $load    = DynamoLoad->new($cluster, nodes => $nodes);
$cluster->query("INSERT INTO t (id, v) SELECT i, ARRAY['value ' || i] FROM generate_series(1000001, 1000000 + $rows) i",
    seconds => 300);

sub start_clients
{
    my ($from) = @_;
    return PacedLoad->start($cluster, rate => 50, clients => [map { {
        class => 'quorum',
        kind  => $_ % 2 ? 'write' : 'read',
        set   => { r => 2, w => 2 },
        from  => ($from + $_) * 1_000_000,
    } } 1 .. 4]);
}

# Partitions that a node and a peer, any or that one, are not known to hold alike since then.
sub unequal
{
    my ($since, $peer) = @_;
    my $of_peer = defined $peer ? "AND peer = 'node_" . $cluster->port($peer) . q{'} : '';
    return $cluster->query(qq{SELECT count(*) FROM dynamo_repair_status('dynamo')
        WHERE (equal_at IS NULL OR equal_at < to_timestamp($since)) $of_peer});
}

# Compares that begin after now find all owners equal.
sub await_equal
{
    my ($what) = @_;
    my $since = time;
    $cluster->console($_, 'REPAIR') for 1 .. $nodes;
    return $cluster->await("$what: all owners of every partition are equal", sub { unequal($since) == 0 }, 120);
}

# No statement failed, and sampled rows are on their owners, byte for byte.
sub check_load
{
    my ($what, @statements) = @_;
    my @failed = failed(@statements);
    is(scalar @failed, 0, "$what: no statement failed") or diag "$failed[0]{state} $failed[0]{message}";
    my @ms = sort { $a <=> $b } map { $_->{ms} } @statements;
    note sprintf '%s: %d statements, p50 %.1f ms, p99 %.1f ms', $what, scalar @ms, percentile(0.5, @ms),
        percentile(0.99, @ms);
    my @keys = map { $_->{key} } grep { $_->{kind} eq 'write' } @statements;
    @keys = @keys[map { $_ * @keys / 200 } 0 .. 199] if @keys > 200;
    $load->note_written(@keys);
    $load->check_replicas($what, @keys, map { 1_000_000 + $_ * 997 } 1 .. 100);
}

$load->note_written(map { 1_000_000 + $_ * 997 } 1 .. 100);
await_equal('at first');

# Compares alone bring it back: there are no hints, and nobody reads what was written meanwhile.
{
    my $clients = start_clients(10);
    BlackHole::drop($cluster->port(3));
    sleep $cut_for;    # the length of the cut is the point
    BlackHole::restore($cluster->port(3));
    my $healed = time;
    my @statements = $clients->finish;
    $cluster->await_all_up('node 3 is back', $nodes);
    is($cluster->console(1, 'SHOW HINTS'), '', 'node 1 keeps no hints');
    $cluster->await('without being asked it is brought what it missed', sub { unequal($healed, 3) == 0 }, 120);
    note sprintf 'equal %.1f s after the end of the cut', time - $healed;
    check_load('cut off', @statements);
    await_equal('cut off');
}

{
    my $clients = start_clients(20);
    $cluster->kill(2);
    $cluster->wipe(2);
    my $started = time;
    $cluster->start(2);
    $cluster->await('node 2 is filled',
        sub { $cluster->console(2, 'SHOW STATS') =~ /^storage_refilling\|0\|/m }, 120);
    note sprintf 'filled after %.1f s', time - $started;
    await_equal('wiped');
    note sprintf 'equal after %.1f s', time - $started;
    check_load('wiped', $clients->finish);
}

done_testing;
