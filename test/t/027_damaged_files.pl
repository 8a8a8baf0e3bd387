# One flipped bit in each small file of a node's folder: the node starts all the same, or says in one
# line what helps, and that does.
use strict;
use warnings;
use DynamoCluster;
use DynamoProgram;
use Test::More;

my $cluster = DynamoCluster->new(nodes => 3);
$cluster->query(q{
CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 't', n '3', r '2', w '2');
INSERT INTO t SELECT i, ARRAY['value ' || i] FROM generate_series(1, 300) i;
});
my $folder = $cluster->node_folder(3);
my $name   = 'node_' . $cluster->port(3);
$cluster->await('node 3 has its notes', sub { -s "$folder/seen" });

sub flip
{
    my ($path, $at, $with) = @_;
    open my $file, '+<:raw', $path or die "$path: $!";
    seek $file, $at, 0;
    read $file, my $byte, 1;
    seek $file, $at, 0;
    print $file chr(ord($byte) ^ ($with // 1));
    close $file;
    return;
}

sub stop
{
    $cluster->run('console', 3, '-qc', 'SHUTDOWN');
    $cluster->await('node 3 has ended', sub { $cluster->server(3)->{state} eq 'down' });
    return;
}

sub run_node { return run_as_server([ DynamoCluster::program(), @_, '-D', $folder ], seconds => 30) }

sub refuses
{
    my ($what, $why) = @_;
    my ($status, $out, $error) = run_node();
    isnt($status, 0, "$what: the node does not start");
    like($error, $why, "$what: it says what helps");
    is(scalar(grep { /dynamo_node:/ } split /\n/, $error), 1, "$what: in one line") or diag $error;
    return;
}

sub is_whole
{
    my ($what) = @_;
    $cluster->start(3);
    $cluster->await_all_up("$what: node 3 is up everywhere");
    is($cluster->query('SELECT count(*) FROM t', options => '-c dynamo_fdw.r=3'), 300, "$what: with every row");
    my ($row) = grep { /^\Q$name\E\|/ } split /\n/, $cluster->console(1, 'SHOW NODES');
    like($row // '', qr/\|up\|/, "$what: as the member that it was");
    return;
}

# Every place of the topology, some of them after one another.
for my $part (0.01, 0.3, 0.6, 0.99)
{
    stop();
    flip("$folder/topology", int($part * -s "$folder/topology"));
    refuses("topology at $part", qr/topology" is damaged.*dynamo_node salvage -D DIR/);
    my ($status, $out, $error) = run_node('salvage');
    is($status, 0, "topology at $part: salvaged") or diag $error;
    like($out, qr/topology is kept as ".*topology\.\d+"; the node gets a new one from the other nodes/, "topology at $part: it says how");
    is_whole("topology at $part");
}
$cluster->query("CREATE FOREIGN TABLE u (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'u', n '3');"
        . "INSERT INTO u VALUES (1, ARRAY['x'])", options => '-c dynamo_fdw.w=3');
pass('a bucket is made afterwards');

stop();
flip("$folder/member", 5);
refuses('member', qr/member" is damaged.*dynamo_node salvage -D DIR/);
{
    my ($status, $out, $error) = run_node('salvage');
    is($status, 0, 'member: salvaged') or diag $error;
    like($out, qr/member id was taken from the topology/, 'member: it says how');
}
is_whole('member');

stop();
flip("$folder/seen", 20);
is_whole('seen');
like($cluster->log_text(3), qr/seen" is damaged/, 'seen: its log says so');

stop();
flip("$folder/data/RUNS", 33, 0x40);
refuses('RUNS', qr/RUNS" is damaged.*dynamo_node salvage -D DIR/);
is((run_node('salvage'))[0], 0, 'RUNS: salvaged');
is_whole('RUNS');

stop();
flip("$folder/cluster.key", 5, 0x40);
refuses('cluster.key', qr/cluster\.key" line 1: not a cluster key/);
flip("$folder/cluster.key", 5, 0x40);
flip("$folder/VERSION", 0, 2);
refuses('VERSION', qr/layout version/);
flip("$folder/VERSION", 0, 2);
is_whole('all of them');

# A digit that is one all the same makes another key: nobody can tell which of the two is altered, and
# nobody fills a log with it.
{
    my $length = length $cluster->log_text(1);
    stop();
    my $key = slurp("$folder/cluster.key");
    substr($key, 0, 1) = $key =~ /^0/ ? '1' : '0';
    open my $file, '>', "$folder/cluster.key" or die $!;
    print $file $key;
    close $file;
    $cluster->start(3);
    $cluster->await('another key: it has no links', sub { $cluster->log_text(3) =~ /no link to .*password authentication failed for user "_peer_/ });
    sub refused { return $cluster->console(1, 'SHOW STATS') =~ /^logins_failed\|(\d+)/m ? $1 : die 'no logins_failed' }
    my $refused = refused();
    $cluster->await('another key: it tries on', sub { refused() >= $refused + 3 });
    my @lines = grep { /login from/ } split /\n/, substr $cluster->log_text(1), $length;
    cmp_ok(scalar @lines, '<=', 2, 'another key: the others say so once') or diag @lines;
}

done_testing;
