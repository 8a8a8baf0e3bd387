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

# A disk is set back to when it had keys that were deleted, and their tombstones reaped, since.
my $folder = $cluster->node_folder(3);
$cluster->query(q{INSERT INTO t VALUES (1001, '{one}'), (1002, '{two}')});
$cluster->query(q{CREATE FOREIGN TABLE u (name text OPTIONS (key 'true'), day int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'diary')});
$cluster->query(q{INSERT INTO u VALUES ('ann', 29, '{three}')});
$cluster->await('node 3 has them', sub { $cluster->console(3, 'GET diary ann 29 LOCAL') ne '' && $cluster->console(3, 'GET reaped 1002 LOCAL') ne '' && $cluster->console(3, 'GET reaped 1001 LOCAL') ne '' });
$cluster->kill(3);
system('cp', '-a', "$folder/data", "$folder/data.old") == 0 or die;
$cluster->start(3);
$cluster->await_all_up;
$cluster->query('DELETE FROM t');
$cluster->query('DELETE FROM u');
$cluster->await('they are deleted and reaped', sub {
    $cluster->console($_, 'REAP') for 1 .. 3;
    my @left = grep { $cluster->console($_, 'GET diary ann 29 LOCAL') . $cluster->console($_, 'GET reaped 1001 LOCAL')
        . $cluster->console($_, 'GET reaped 1002 LOCAL') ne '' } 1 .. 3;
    @left == 0 }, 60);
$cluster->kill(3);
system('rm', '-rf', "$folder/data");
rename "$folder/data.old", "$folder/data" or die;
$cluster->start(3);
my @orphans;
$cluster->await('a disk that is older has orphans',
    sub { @orphans = sort split /\n/, $cluster->console(3, 'SHOW ORPHANS'); @orphans == 3 }, 60);
is_deeply(\@orphans, ['diary|ann 29|1', 'reaped|1001|1', 'reaped|1002|1'], 'shown by their keys');
$cluster->await_all_up;
is($cluster->query('SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM u)'), 0, 'and not served');
$cluster->console(3, 'DROP ORPHANS reaped');
$cluster->await('those of one bucket are dropped', sub { $cluster->console(3, 'SHOW ORPHANS') eq 'diary|ann 29|1' });
$cluster->console(3, 'ADOPT ORPHANS');
$cluster->await('the others are adopted', sub { $cluster->console(3, 'SHOW ORPHANS') eq '' });
$cluster->await('which is then to be read again', sub { $cluster->query('SELECT v FROM u') eq '{three}' });
is($cluster->query('SELECT count(*) FROM t'), 0, 'what was dropped is gone');

done_testing;
