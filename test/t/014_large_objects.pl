# An object larger than a frame of a client may be: between nodes nothing is refused for its size.
# It travels in parts, to the other owners, to a client, to a disk that was wiped, and when a read
# repairs.
use strict;
use warnings;
use DynamoCluster;
use Test::More;

my $cluster = DynamoCluster->new(nodes => 3, config => ['request_timeout_ms=20000']);
$cluster->query(q{
CREATE FOREIGN TABLE t (id int OPTIONS (key 'true'), v text[], context bytea OPTIONS (context 'true'))
    SERVER dynamo OPTIONS (bucket 't', n '3', r '3', w '1');
});
my $settings = q{SET dynamo_fdw.request_timeout = '20s'; SET client_min_messages = error;};

# One put of values of 900 kB.
my $put = sub {
    my ($mark, $count) = @_;
    return $cluster->psql(qq{$settings
INSERT INTO t SELECT 1, array_agg('$mark ' || g || repeat('x', 900000)) FROM generate_series(1, $count) g});
};

# All three owners answer; those that lack something are mended first.
my $read_all = sub {
    my ($what, $count) = @_;
    my $bytes = $count * 900_000;
    $cluster->await($what, sub {
        $cluster->query(qq{$settings
SELECT cardinality(v), (SELECT count(DISTINCT e) FROM unnest(v) e),
    (SELECT sum(length(e)) FROM unnest(v) e) > $bytes FROM t WHERE id = 1}) eq "$count|$count|t";
    }, 90);
};

# Of the two owners that are there, one may be the one that was mended.
my $read_two = sub {
    return $cluster->query("$settings SET dynamo_fdw.r = 2; SELECT cardinality(v) FROM t WHERE id = 1");
};

is(($put->('first', 40))[0], 0, '36 MB are put');
is(($put->('second', 40))[0], 0, 'and as much beside them');
$read_all->('72 MB are with all three owners, and come back', 80);
like(($put->('more', 80))[2], qr/is too large/, 'a client may not write that much at once');

$cluster->kill(3);
$cluster->wipe(3);
$cluster->start(3);
$cluster->await_all_up;
$cluster->await('a wiped node is filled',
    sub { $cluster->console(3, 'SHOW STATS') =~ /^storage_refilling\|0/m });
$cluster->kill(1);
$cluster->await('it has the object too', sub { $read_two->() == 80 });
$cluster->start(1);
$cluster->await_all_up;

$cluster->kill(2);
is(($put->('third', 20))[0], 0, 'a node that is down misses 18 MB');
$cluster->start(2);
$cluster->await_all_up;
$read_all->('90 MB are merged, and mended where they are missing', 100);
$cluster->kill(1);
$cluster->await('they were', sub { $read_two->() == 100 });
$cluster->start(1);
$cluster->await_all_up;

$cluster->await('one write with the context resolves it', sub {
    $cluster->query("$settings INSERT INTO t SELECT id, '{resolved}', context FROM t WHERE id = 1");
    $cluster->query("$settings SELECT v FROM t WHERE id = 1") eq '{resolved}';
});
unlike($cluster->log_text($_), qr/too large|closed session|fits no other/, "no link of node $_ was lost to it")
    for 1 .. 3;

done_testing;
