# One node killed or stopped costs nothing but a moment; two down is a clear error.
use strict;
use warnings;
use DynamoCluster;
use Test::More;
use Time::HiRes qw(time);

my $cluster = DynamoCluster->new(nodes => 3);
$cluster->query(q{
CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[], context bytea OPTIONS (context 'true'))
    SERVER dynamo OPTIONS (bucket 't', n '3', r '2', w '2');
INSERT INTO t (id, v) SELECT i, ARRAY['before ' || i] FROM generate_series(1, 200) i;
});

# A session of its own that reads and writes $count times, one statement each; the seconds it took.
my $next = 1000;
sub work
{
    my ($what, $count) = @_;
    my $sql = join '', map {
        $next++;
        "INSERT INTO t (id, v) VALUES ($next, '{during}');\n"
            . "SELECT count(*) FROM t WHERE id IN ($next, " . (1 + $_ % 200) . ");\n"
    } 1 .. $count;
    my $from = time;
    my ($status, $out, $error) = $cluster->psql($sql);
    my $seconds = time - $from;
    is($status, 0, "$what: writes and reads go on") or diag $error;
    is($out, join("\n", (2) x $count), "$what: with every row");
    return $seconds;
}

work('all up', 20);

# ---- killed ----
for my $node (1 .. 3)
{
    $cluster->kill($node);
    my $seconds = work("node $node killed", 30);
    cmp_ok($seconds, '<', 10, "node $node killed: in a bounded time");
    is($cluster->query('SELECT count(*) FROM t WHERE id <= 200'), 200, "node $node killed: a scan has every row");
    $cluster->start($node);
    $cluster->await_all_up("node $node is back");
    $next++;
    is($cluster->query("SET dynamo_fdw.w = 3; INSERT INTO t (id, v) VALUES ($next, '{w3}') RETURNING id"), $next,
        "node $node is back: w = 3 works");
}

# ---- stopped: the node holds its connections and answers nothing ----
$cluster->stop(2);
my $seconds = work('node 2 stopped', 60);
cmp_ok($seconds, '<', 15, 'node 2 stopped: the delay is paid once, not on each statement');
is($cluster->query('SELECT count(*) FROM t WHERE id <= 200'), 200, 'node 2 stopped: a scan has every row');
$cluster->cont(2);
$cluster->await_all_up('node 2 goes on');
work('node 2 goes on', 5);

# ---- two down ----
$cluster->kill(2);
$cluster->kill(3);
my @port = map { $cluster->port($_) } 1 .. 3;
my $from = time;
my ($status, $out, $error) = $cluster->psql("\\set VERBOSITY verbose\nSELECT * FROM t WHERE id = 5");
isnt($status, 0, 'two down: a read at r = 2 fails');
like($error, qr/$port[1]|$port[2]|node_$port[1]|node_$port[2]/, 'two down: the error names a node');
like($error, qr/\b2\b/, 'two down: and what was asked');
($status, $out, $error) = $cluster->psql("\\set VERBOSITY verbose\nINSERT INTO t (id, v) VALUES (5000, '{never}')");
isnt($status, 0, 'two down: a write at w = 2 fails');
like($error, qr/refused|unknown/, 'two down: and says what became of it');
cmp_ok(time - $from, '<', 30, 'two down: errors come in a bounded time');
($status, $out, $error) = $cluster->run('console', 1, '-XAt', '-c', 'GET t 5');
like($error, qr/DETAIL:  This node does not reach (?=.*node_$port[1])(?=.*node_$port[2])/, 'two down: GET in the console names both');
is($cluster->query('SET dynamo_fdw.r = 1; SELECT v FROM t WHERE id = 5'), '{"before 5"}',
    'two down: r = 1 reads what the last node has');

for my $first_w (1, 2)
{
    $next++;
    ($status) = $cluster->psql("SET dynamo_fdw.r = 1; BEGIN; SET LOCAL dynamo_fdw.w = $first_w;
        INSERT INTO t (id, v) VALUES ($next, '{a}'); SET LOCAL dynamo_fdw.w = 1;
        UPDATE t SET v = '{b}' WHERE id = $next; COMMIT");
    is($status != 0, $first_w == 2, "two down: writes of one key at w = $first_w and 1 ask for the larger one");
}

$cluster->start(2);
$cluster->start(3);
$cluster->await('both back: writes work again', sub {
    $next++;
    $cluster->query("INSERT INTO t (id, v) VALUES ($next, '{after}')");
    1;
});
is($cluster->query('SELECT count(*) FROM t WHERE id <= 200'), 200, 'both back: every row is there');

done_testing;
