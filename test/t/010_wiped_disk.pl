# A node whose disk was wiped is filled from the other owners, and answers no read until it is: no
# acknowledged write is missed meanwhile.
use strict;
use warnings;
use DynamoCluster;
use Test::More;

my $rows    = 20000;
my $cluster = DynamoCluster->new(nodes => 3);
$cluster->query(qq{
CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[])
    SERVER dynamo OPTIONS (bucket 't', n '3', r '2', w '2');
INSERT INTO t SELECT i, ARRAY['value ' || i] FROM generate_series(1, $rows) i;
});

my $stat = sub {
    my ($node, $name) = @_;
    return $cluster->console($node, 'SHOW STATS') =~ /^$name\|(\d+)/m ? $1 : undef;
};

# Written by nodes 1 and 2 alone; then node 2's disk is gone, and node 3 has never heard of them.
$cluster->kill(3);
$cluster->query(q{INSERT INTO t SELECT i, ARRAY['late'] FROM generate_series(-100, -1) i});
$cluster->kill(2);
$cluster->wipe(2);
$cluster->start(3);
$cluster->start(2);
$cluster->await('the first reads find what only node 1 has kept',
    sub { $cluster->query('SELECT count(*) FROM t WHERE id = ANY(ARRAY(SELECT generate_series(-100, -1)))') == 100 });
is($cluster->query('SELECT count(*) FROM t'), $rows + 100, 'and so does a scan');

$cluster->await('node 2 is filled', sub { $stat->(2, 'storage_refilling') == 0 });
like($cluster->log_text(2), qr/this node fills it from the other owners/, 'it said so when it began');
like($cluster->console(2, 'GET t -7 LOCAL'), qr/late/, 'it has the writes of the end itself');
like($cluster->console(2, 'GET t 7 LOCAL'), qr/value 7/, 'and those of the beginning');

$cluster->kill(2);
$cluster->start(2);
$cluster->await_all_up;
is($stat->(2, 'storage_refilling'), 0, 'a restart on the same disk fills nothing');
my $said = () = $cluster->log_text(2) =~ /this node fills it from the other owners/g;
is($said, 1, 'nor says that it did');

done_testing;
