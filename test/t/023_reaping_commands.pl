# Tombstones that all owners hold are forgotten when somebody says so; SHOW REAPING tells what waits, and for whom.
use strict;
use warnings;
use DynamoCluster;
use Test::More;

my $keys    = 100;
my $cluster = DynamoCluster->new(nodes => 3, config => ['partitions=64']);
$cluster->query(q{CREATE FOREIGN TABLE t (id int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'reaped')});

sub put_and_delete
{
    $cluster->query(qq{INSERT INTO t SELECT i, ARRAY['v' || i] FROM generate_series(1, $keys) i});
    $cluster->query('DELETE FROM t');
}

# The rows of a command on some nodes, as hashes.
sub rows
{
    my ($command, @nodes) = @_;
    my @rows;
    for my $node (@nodes)
    {
        my ($status, $out, $error) = $cluster->run('console', $node, '-XA', '-P', 'footer=off', '-c', $command);
        die "node $node: $command: $error" if $status != 0;
        my ($head, @lines) = split /\n/, $out;
        my @columns = split /\|/, $head;
        push @rows, map { my %row; @row{@columns} = split /\|/, $_, -1; \%row } @lines;
    }
    return @rows;
}

sub sum
{
    my ($column, @rows) = @_;
    my $sum = 0;
    $sum += $_->{$column} for @rows;
    return $sum;
}

# Of some keys: how many objects the nodes have, tombstones too.
sub held
{
    my (@nodes) = @_;
    my $count = 0;
    for my $node (@nodes)
    {
        $count += grep { $cluster->console($node, "GET reaped $_ LOCAL") ne '' } 1, 50, $keys;
    }
    return $count;
}

# ---- all are there ----

put_and_delete();
$cluster->await('what was deleted is reaped, once all owners hold the tombstones', sub {
    $cluster->console($_, 'REAP') for 1 .. 3;
    sum('reaped', rows('SHOW REAPING', 1 .. 3)) == $keys });
my @resting = rows('SHOW REAPING', 1 .. 3);
is(scalar(grep { $_->{state} ne 'resting' || $_->{waits_for} ne '' || $_->{candidates} != 0 } @resting), 0, 'nothing waits');
is(scalar(grep { $_->{bucket} ne 'reaped' || $_->{passed} eq '' } @resting), 0, 'when it passed is shown');
is(sum('reaped', rows('SHOW REAPING reaped', 1 .. 3)), $keys, 'SHOW REAPING bucket has the same by partition');
is(scalar(rows('SHOW REAPING reaped', 1 .. 3)), sum('partitions', @resting), 'a row for each');

is(held(1 .. 3), 0, 'and nothing of it is left on any node');

# ---- one is away ----

my $before = sum('reaped', rows('SHOW REAPING', 1, 2));
my ($away) = map { $_->{node} } grep { $_->{is_self} eq 't' } rows('SHOW NODES', 3);
$cluster->kill(3);
put_and_delete();
$cluster->await('what was deleted waits', sub {
    $cluster->console($_, 'REAP') for 1, 2;
    sum('candidates', grep { $_->{waits_for} ne '' } rows('SHOW REAPING', 1, 2)) == $keys });
is_deeply({ map { $_->{waits_for} => 1 } grep { $_->{candidates} > 0 } rows('SHOW REAPING', 1, 2) }, { $away => 1 },
    'for the node that is down');
is(sum('reaped', rows('SHOW REAPING', 1, 2)), $before, 'nothing was reaped');
is(held(1), 3, 'and the tombstones are there');
$cluster->start(3);
$cluster->await('and is reaped when that one is back', sub {
    $cluster->console($_, 'REAP') for 1 .. 3;
    my @rows = rows('SHOW REAPING', 1 .. 3);
    !grep { $_->{state} ne 'resting' } @rows and held(1 .. 3) == 0 }, 60);

# ---- orphans ----

is($cluster->console(1, 'SHOW ORPHANS'), '', 'there are no orphans');
is($cluster->console(1, "$_ ORPHANS reaped"), "$_ ORPHANS", "$_ ORPHANS of none is no error") for 'ADOPT', 'DROP';
my ($status, $out, $error) = $cluster->run('console', 1, '-X', '-v', 'VERBOSITY=verbose', '-c', 'DROP ORPHANS nothing');
like($error, qr/ERROR:  42704: bucket "nothing" does not exist/, 'of a bucket that there is not, it is');

done_testing;
