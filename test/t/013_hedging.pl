# A node that is stopped costs a read no more than the hedge, once; fallbacks stand in for owners that are
# down, but for those that pr and pw ask for.
use strict;
use warnings;
use DynamoCluster;
use Test::More;

my $cluster = DynamoCluster->new(nodes => 5);
$cluster->query(q{
CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'hedging', n '3', r '2', w '2');
INSERT INTO t SELECT i, ARRAY['v' || i] FROM generate_series(1, 200) i;
CREATE TABLE took (at serial, ms float);
CREATE PROCEDURE read_keys(times int) LANGUAGE plpgsql AS $$
DECLARE
    start timestamptz;
BEGIN
    TRUNCATE took;
    FOR i IN 1 .. times LOOP
        start := clock_timestamp();
        PERFORM v FROM t WHERE id = 1 + i % 200;
        INSERT INTO took (ms) VALUES (extract(epoch FROM clock_timestamp() - start) * 1000);
    END LOOP;
END $$;
});
my $script = $cluster->{script};
my $show = "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ms), percentile_disc(0.999) WITHIN GROUP (ORDER BY ms), max(ms) FROM took;\n";

# A session reads, sees node 2 stop, reads again, and sees it go on; p50, p99.9 and the longest of both times.
sub reads_around_a_stop
{
    my ($settings, $before, $after) = @_;
    my $out = $cluster->query("${settings}CALL read_keys($before);\n$show\\! $script stop 2 >/dev/null\n"
        . "CALL read_keys($after);\n$show\\! $script cont 2 >/dev/null\n");
    $cluster->await_all_up("$settings node 2 goes on", 5);
    diag "$settings$out" if $ENV{VERBOSE};
    return map { [ split /\|/ ] } split /\n/, $out;
}

# ---- how long a stopped node holds up ----
my ($calm, $stopped) = reads_around_a_stop('', 400, 2000);
cmp_ok($stopped->[1], '<', $calm->[1] + 100, 'a node stops: 999 reads in 1000 take no longer than the longest hedge');
cmp_ok($stopped->[0], '<', $calm->[0] + 20, 'a node stops: most take what they took');
($calm, $stopped) = reads_around_a_stop("SET dynamo_fdw.hedge_after = '700ms';\n", 200, 200);
cmp_ok($stopped->[2], '>=', 700, 'hedge_after 700 ms: is waited for');
cmp_ok($stopped->[0], '<', 100, 'hedge_after 700 ms: and not by every read');
($calm, $stopped) = reads_around_a_stop("SET dynamo_fdw.hedge_after = '20ms';\n", 200, 200);
cmp_ok($stopped->[2], '<', 700, 'hedge_after 20 ms: is sooner');

# ---- what EXPLAIN says of it ----
my $explain = 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)';
my $all = 'SELECT count(*) FROM t WHERE id = ANY (ARRAY(SELECT generate_series(1, 200)))';
my $plan = $cluster->query("$all;\n\\! $script stop 2 >/dev/null\n$explain $all;\n$explain $all;\n\\! $script cont 2 >/dev/null\n");
my @port = map { $cluster->port($_) } 1 .. 5;
my ($first, $second) = $plan =~ /(Requests: .*?Nodes Asked: [^\n]*).*(Requests: .*?Nodes Asked: [^\n]*)/s;
like($first, qr/Hedges: [1-9].*127\.0\.0\.1:$port[1] \d/s, 'EXPLAIN tells of hedges, and which nodes were asked');
unlike($second, qr/Hedges|:$port[1] /, 'the next statement leaves the stopped node alone');
$cluster->await_all_up('all go on', 5);

# ---- a session that begins when the others know already ----
# True when each of the nodes says that so many are down.
sub say_down
{
    my ($down, @nodes) = @_;
    for my $node (@nodes)
    {
        my $said = () = $cluster->console($node, 'SHOW NODES') =~ /\|down\|/g;
        return 0 if $said != $down;
    }
    return 1;
}

$cluster->stop(2);
$cluster->await('the others know that a node is stopped', sub { say_down(1, 1, 3, 4, 5) });
my @new = split /\|/, $cluster->query("SET dynamo_fdw.hedge_after = '700ms';\nCALL read_keys(200);\n$show");
cmp_ok($new[2], '<', 700, 'a new session does not wait for a node that is known to be down');
$cluster->cont(2);
$cluster->await_all_up('it goes on', 5);

# ---- owners and fallbacks ----
$cluster->kill($_) for 4, 5;
$cluster->await('the others know that two are down', sub { say_down(2, 1, 2, 3) });
my $new = 'SELECT count(*) FROM t WHERE id = ANY (ARRAY(SELECT generate_series(1001, 1200)))';
$cluster->query("INSERT INTO t SELECT i, '{new}' FROM generate_series(1001, 1200) i");
is($cluster->query($new), 200, 'two of five are down: every key that is written can be read');
like($cluster->query("$explain $new"), qr/Fallbacks: [1-9]/, 'EXPLAIN tells how often fallbacks were asked');
my ($status, $out, $error) = $cluster->psql("\\set VERBOSITY verbose\n$all");
like($error, qr/57P03.*127\.0\.0\.1:\d+\) does not hold the key/s, 'that a fallback lacks a key is no answer, but an error');
($status, $out, $error) = $cluster->psql("\\set VERBOSITY verbose\nSET dynamo_fdw.pr = 2;\n$new");
isnt($status, 0, 'pr = 2: keys with two owners down cannot be read');
like($error, qr/57P03/, 'pr = 2: which is no missing row but an error');
like($error, qr/$port[3].*$port[4]|$port[4].*$port[3]/s, 'pr = 2: that names the owners that are down');
like($error, qr/pr asks for 2 answers of owners themselves, 1 came.*dynamo_fdw\.pr/s, 'pr = 2: and says that pr was missed');
($status, $out, $error) = $cluster->psql("\\set VERBOSITY verbose\nSET dynamo_fdw.pw = 2;\nINSERT INTO t SELECT i, '{x}' FROM generate_series(2001, 2200) i");
isnt($status, 0, 'pw = 2: nor written');
like($error, qr/57P03|08007/, 'pw = 2: which is an error');
like($error, qr/pw asks for 2 acknowledgements of owners themselves.*dynamo_fdw\.pw/s, 'pw = 2: and says that pw was missed');
is($cluster->query("SET dynamo_fdw.pr = 1;\n$new"), 200, 'pr = 1: one owner is always there');

done_testing;
