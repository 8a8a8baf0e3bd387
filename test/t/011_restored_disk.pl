# A node that comes back with an older copy of its disk, or of its whole folder, is found out, by its
# own notes or by what the others remember of it: it is filled from them and answers no read until it
# is. A kill -9 is not mistaken for that.
use strict;
use warnings;
use DynamoCluster;
use Test::More;

my $rows    = 5000;
my $cluster = DynamoCluster->new(nodes => 3);
my $folder  = $cluster->node_folder(2);
my $backup  = "$folder.backup";
$cluster->query(qq{
CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[])
    SERVER dynamo OPTIONS (bucket 't', n '3', r '2', w '2');
INSERT INTO t SELECT i, ARRAY['value ' || i] FROM generate_series(1, $rows) i;
});

my $stat = sub {
    my ($node, $name) = @_;
    return $cluster->console($node, 'SHOW STATS') =~ /^$name\|(\d+)/m ? $1 : undef;
};
my $times_filled = sub { my $said = () = $cluster->log_text(2) =~ /this node fills it from the other owners/g; $said };
my $copy = sub { my ($from, $to) = @_; system('rm', '-rf', $to); system('cp', '-a', $from, $to) == 0 or die };

# Written by nodes 1 and 2 alone; node 3, which has never heard of it, is there for the reads.
my $lose_a_write = sub {
    my ($what, @paths) = @_;
    my $key = $what->{key};
    my $filled = $times_filled->();
    $cluster->kill(2);
    $copy->("$folder/$_", "$backup/$_") for @paths;
    $cluster->start(2);
    $cluster->await_all_up;
    $cluster->kill(3);
    $cluster->query("INSERT INTO t SELECT i, ARRAY['late'] FROM generate_series($key + 1, $key + 100) i");
    $cluster->kill(2);
    $copy->("$backup/$_", "$folder/$_") for @paths;
    $cluster->start(3);
    $cluster->start(2);
    $cluster->await("$what->{name}: the first reads find what only node 1 has kept",
        sub { $cluster->query("SELECT count(*) FROM t WHERE id = ANY(ARRAY(SELECT generate_series($key + 1, $key + 100)))") == 100 });
    $cluster->await("$what->{name}: it ends by itself", sub { $stat->(2, 'storage_refilling') == 0 && $times_filled->() > $filled });
    cmp_ok($stat->(2, 'storage_applies'), '<', $rows, "$what->{name}: it took what it lacks, not everything");
    like($cluster->console(2, 'GET t ' . ($key + 7) . ' LOCAL'), qr/late/, "$what->{name}: it has the writes again");
    $cluster->await_all_up;
};

mkdir $backup or die "$backup: $!";
$cluster->kill(2);
$cluster->start(2);
$cluster->await_all_up;
$cluster->kill($_) for 1 .. 3;
$cluster->start($_) for 1 .. 3;
$cluster->await_all_up('after kill -9 of every node');
is($times_filled->(), 0, 'a kill -9 is not mistaken for a restored disk');
is($stat->($_, 'storage_refilling'), 0, "nor node $_ refilling") for 1 .. 3;

$lose_a_write->({ name => 'the data directory alone', key => 100000 }, 'data');
is($times_filled->(), 1, 'it said so');
like($cluster->log_text(2), qr/this node's notes know of later writes/, 'its own notes showed it');

$lose_a_write->({ name => 'the data and the notes', key => 200000 }, 'data', 'seen');
is($times_filled->(), 2, 'it said so again');
like($cluster->log_text(2), qr/node node_\d+ knows of later writes/, 'another node remembered');

# Node 1, whose rows it needs, is stopped: it cannot end, and says that it refills.
$cluster->kill(2);
$copy->("$folder/data", "$backup/data");
$cluster->start(2);
$cluster->await_all_up;
$cluster->kill(2);
$copy->("$backup/data", "$folder/data");
$cluster->kill(1);
$cluster->start(2);
$cluster->await('SHOW NODES of the node itself says so',
    sub { $cluster->console(2, 'SHOW NODES') =~ /\|refilling\|/ });
$cluster->await('and that of another one', sub { $cluster->console(3, 'SHOW NODES') =~ /\|refilling\|/ });
my ($status, $out, $error) = $cluster->run('console', 2, '-XAt', '-c', 'GET t 7 LOCAL');
like($error, qr/older copy/, 'it answers no read of its own');
$cluster->query("SET dynamo_fdw.w = 2; INSERT INTO t VALUES (-1, ARRAY['while it refills'])");
$cluster->kill(2);
$cluster->start(2);
$cluster->await('a restart does not make it forget', sub { $stat->(2, 'storage_refilling') == 1 });
$cluster->start(1);
$cluster->await('with the other owner back it ends', sub { $stat->(2, 'storage_refilling') == 0 });
is($cluster->query('SELECT count(*) FROM t'), $rows + 201, 'a scan misses nothing');
$cluster->await_all_up;

my $filled = $times_filled->();
$cluster->kill(2);
$cluster->start(2);
$cluster->await_all_up;
is($times_filled->(), $filled, 'a restart after it fills nothing');

done_testing;
