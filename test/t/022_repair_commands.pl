# What a node has missed is mended when somebody says so, on a console or in SQL, and both show how it stands. By itself
# nothing happens here: hints are off, and so is the hourly compare.
use strict;
use warnings;
use DynamoCluster;
use Test::More;

my $keys    = 200;
my $cluster = DynamoCluster->new(nodes => 3, config => ['partitions=64', 'hints_max_mb=0', 'repair_interval_s=0']);
my @name    = (undef, map { name_of($_) } 1 .. 3);
$cluster->query(q{CREATE FOREIGN TABLE t (id int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'repair')});
$cluster->query(q{CREATE FOREIGN TABLE u (id int OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'other')});
$cluster->query(q{INSERT INTO u VALUES (1, '{one}')});

sub name_of
{
    my ($node) = @_;
    my ($itself) = grep { $_->{is_self} eq 't' } rows($node, 'SHOW NODES');
    return $itself->{node};
}

# A column of SHOW REPAIR on a node, of one of its peers.
sub shown
{
    my ($node, $peer, $column) = @_;
    my ($row) = grep { $_->{bucket} eq 'repair' && $_->{node} eq $name[$peer] } rows($node, 'SHOW REPAIR');
    return $row->{$column};
}

sub rows
{
    my ($node, $command) = @_;
    my ($status, $out, $error) = $cluster->run('console', $node, '-XA', '-P', 'footer=off', '-c', $command);
    die "node $node: $command: $error" if $status != 0;
    my ($head, @lines) = split /\n/, $out;
    my @columns = split /\|/, $head;
    return map { my %row; @row{@columns} = split /\|/, $_, -1; \%row } @lines;
}

sub held { my ($node) = @_; return scalar grep { $cluster->console($node, "GET repair $_ LOCAL") ne '' } 1, 50, $keys }

# ---- a node misses writes ----

$cluster->kill(3);
$cluster->query(qq{INSERT INTO t SELECT i, ARRAY['v' || i] FROM generate_series(1, $keys) i});
my ($there, $why) = split /\|/,
    $cluster->query("SELECT count(*), min(error) FROM dynamo_repair_status('dynamo') WHERE node = '$name[3]'");
is($there, 1, 'a node that is down is one row');
isnt($why, '', 'which says why');
$cluster->start(3);
$cluster->await_all_up;
$cluster->await('it has heard of the bucket', sub { defined held(3) });
is(held(3), 0, 'it has nothing of what it missed');
is(shown(1, 3, 'differences'), 0, 'and nobody has looked');

# ---- on a console ----

is($cluster->console(1, "REPAIR repair $name[3]"), 64, 'REPAIR says how many compares it has queued');
$cluster->await("SHOW REPAIR shows all partitions equal", sub { shown(1, 3, "equal") == 64 });
is(shown(1, 3, 'partitions'), 64, 'of all that there are');
is(shown(1, 3, 'differences'), $keys, 'with a difference for each key');
is(shown(1, 3, 'mended_there'), $keys, 'mended there');
is(shown(1, 3, 'mended_here'), 0, 'and not here');
cmp_ok(shown(1, 3, 'bytes_sent'), '>', 0, 'the bytes are counted');
isnt(shown(1, 3, 'oldest_equal'), '', 'and the time is known');
is(held(3), 3, 'the node has what it missed');
is(shown(1, 2, 'not_compared'), 64, 'another node was not compared with');
my @partitions = rows(1, "SHOW REPAIR repair $name[3]");
is(scalar @partitions, 64, 'SHOW REPAIR bucket node has a row for each partition');
is(scalar(grep { $_->{node} eq $name[3] && $_->{bucket} eq 'repair' && $_->{state} eq 'idle' && $_->{equal} ne '' } @partitions),
    64, 'of that bucket and node');
is(scalar(rows(1, 'SHOW REPAIR repair')), 128, 'SHOW REPAIR bucket has those of both nodes');
is($cluster->console(3, "REPAIR $name[1]"), 128, 'REPAIR of a node alone is of all buckets');
is($cluster->console(3, 'REPAIR other'), 128, 'of a bucket alone, of all nodes');
is($cluster->console(3, 'REPAIR'), 256, 'and of nothing named, all of it');

for my $wrong (['REPAIR nothing', '42704'], ["REPAIR repair nobody", '42704'], ['SHOW REPAIR nothing', '42704'])
{
    my ($status, $out, $error) = $cluster->run('console', 1, '-X', '-v', 'VERBOSITY=verbose', '-c', $wrong->[0]);
    like($error, qr/ERROR:  $wrong->[1]: .* does not exist.*HINT/s, "$wrong->[0] says what there is not");
}

# ---- in SQL ----

$cluster->kill(2);
$cluster->query(q{UPDATE t SET v = ARRAY['new']});
is($cluster->query("SELECT name FROM dynamo_repair('dynamo_admin') WHERE queued IS NULL AND error IS NOT NULL"),
    $name[2], 'a node that is down cannot be asked for repair, the others can');
$cluster->start(2);
$cluster->await_all_up;
my $asked = $cluster->query('SELECT clock_timestamp()');
is($cluster->query("SELECT sum(queued) FROM dynamo_repair('dynamo_admin', 'repair', '$name[2]')"), 256,
    'all that is shared with a node is compared from both sides');
$cluster->await('all of it is equal', sub {
    $cluster->query("SELECT bool_and(equal_at >= date_trunc('milliseconds', '$asked'::timestamptz)) FROM dynamo_repair_status('dynamo')
        WHERE bucket = 'repair' AND '$name[2]' IN (node, peer)") eq 't' });
cmp_ok($cluster->query("SELECT sum(mended_here + mended_there) FROM dynamo_repair_status('dynamo')
        WHERE bucket = 'repair' AND '$name[2]' IN (node, peer)"), '>=', $keys, 'each key was mended');
is($cluster->console(2, "GET repair $_ LOCAL") =~ /new/, 1, "key $_ is new on the node that missed it") for 1, $keys;

done_testing;
