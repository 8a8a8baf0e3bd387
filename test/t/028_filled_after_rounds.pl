# A disk is wiped after rounds of reaping. While it is filled no write fails for it, and none that
# its node has a part in is set aside: with all others up, and with another one away.
use strict;
use warnings;
use DynamoCluster;
use Test::More;

my $keys    = 2000;
my $writes  = 300;
my $cluster = DynamoCluster->new(nodes => 3, config => ['partitions=64']);
$cluster->query(q{CREATE FOREIGN TABLE t (id int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'rounds')});

# As rows, each in a statement of its own, through all nodes: those that failed.
sub failed
{
    my ($first, $last) = @_;
    my ($status, $out, $error) = $cluster->run('psql', '-Xq', (map { ('-c', "INSERT INTO t VALUES ($_, ARRAY['w'])") } $first .. $last));
    return $error;
}

# Of node 1's members, those in one of these states.
sub in_state
{
    my ($state) = @_;
    my $count = () = $cluster->console(1, 'SHOW NODES') =~ /\|(?:$state)\|/g;
    return $count;
}

sub wipe
{
    my ($others) = @_;
    $cluster->kill(3);
    $cluster->await('node 3 is down', sub { in_state('up') == $others });
    $cluster->wipe(3);
    $cluster->start(3);
    $cluster->await('and comes back with an empty disk', sub { in_state('up|refilling') == $others + 1 });
}

sub filled { return $cluster->console(3, 'SHOW STATS') =~ /^storage_refilling\|0/m }

$cluster->query(qq{INSERT INTO t SELECT i, ARRAY['x'] FROM generate_series(1, $keys) i; DELETE FROM t});
$cluster->await('the first rows are reaped', sub {
    $cluster->console($_, 'REAP') for 1 .. 3;
    $cluster->console(1, 'GET rounds 1 LOCAL') eq '' && $cluster->console(1, "GET rounds $keys LOCAL") eq '' });
$cluster->await('and all the others', sub {
    $cluster->console($_, 'REAP') for 1 .. 3;
    !grep { $cluster->console($_, 'SHOW REAPING') =~ /waiting|looking|preparing|raising|reaping/ } 1 .. 3 });

# ---- all others are up ----

wipe(2);
is(failed(1, $writes), '', 'no write fails while a disk is filled');
$cluster->await('it is filled', \&filled);
is($cluster->query('SET dynamo_fdw.r = 3; SELECT count(*) FROM t'), $writes, 'and every row is there');

# ---- one of them is away ----

$cluster->kill(2);
wipe(1);
is(failed($writes + 1, 2 * $writes), '', 'nor while the third is away');
is($cluster->query(qq{SET dynamo_fdw.w = 1; INSERT INTO t SELECT i, ARRAY['w1'] FROM generate_series(2 * $writes + 1, 3 * $writes) i}), '',
    'nor does one that waits for a single owner');
ok(!filled(), 'it is not filled without the third');
$cluster->kill(3);
$cluster->start(3);
$cluster->start(2);
$cluster->await('it is, with the third', \&filled);
is($cluster->query('SET dynamo_fdw.r = 3; SELECT count(*) FROM t'), 3 * $writes, 'and every row is there');
is($cluster->console($_, 'SHOW ORPHANS'), '', "node $_ has set nothing aside") for 1 .. 3;

done_testing;
