# What a COMMIT has written is told, whatever ends it: a cancel, an error of something else, the end of the session. And
# a large one gets through a cluster that refuses much of it for a while.
use strict;
use warnings;
use DynamoCluster;
use Test::More;

my $cluster = DynamoCluster->new(nodes => 3, config => ['max_requests=3'], up => [ '--pg', 'max_connections=40' ]);
$cluster->query(q{
CREATE FOREIGN TABLE safe (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'commit_safe');
CREATE FOREIGN TABLE wide (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo_admin OPTIONS (bucket 'commit_wide', w '3');
CREATE FOREIGN TABLE narrow (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo_admin OPTIONS (bucket 'commit_narrow');
CREATE FOREIGN TABLE all_of_it (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'commit_all', w '3');
CREATE TABLE local (id int, v int);
INSERT INTO local VALUES (1, 1), (2, 2);
CREATE FOREIGN TABLE probe (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'commit_probe');
INSERT INTO safe VALUES (0, '{x}');
INSERT INTO probe VALUES (0, '{x}');
INSERT INTO wide VALUES (0, '{x}');
INSERT INTO narrow VALUES (0, '{x}');
INSERT INTO all_of_it VALUES (0, '{x}');
});
my $rolled_back = qr/a transaction is rolled back whose writes had left for the cluster of server "(\w+)"/;

# The first key from there on whose writes that node does not coordinate, whatever the bucket: its place on the ring comes
# from the key alone. A write that waits for a node which stands still would hold up what is to be seen done.
sub key_coordinated_elsewhere
{
    my ($key, $node) = @_;
    my $coordinated = sub { ($cluster->console($node, 'SHOW STATS') =~ /^writes\|(\d+)/m)[0] };
    while (1)
    {
        my $before = $coordinated->();
        $cluster->query("INSERT INTO probe VALUES ($key, '{x}')");
        return $key if $coordinated->() == $before;
        $key++;
    }
}

# Waits until a backend has been in its COMMIT for so long that what can be written is, and returns its process id.
sub committing
{
    my ($session, $marker) = @_;
    my $pid;
    $session->{harness}->pump_nb;    # it gets its statements
    $cluster->await("$marker is in its COMMIT", sub {
        $pid = $cluster->query("SELECT pid FROM pg_stat_activity WHERE application_name = '$marker' AND query = 'COMMIT;'"
            . " AND wait_event_type = 'Extension' AND clock_timestamp() - query_start > interval '0.3 seconds'");
        return $pid =~ /^\d+$/;
    }) or diag $cluster->query("SELECT query, state, wait_event_type FROM pg_stat_activity WHERE application_name = '$marker'");
    return $pid;
}

# ---- an error of something else, after the writes have left ----
{
    my ($status, $out, $error) = $cluster->psql(q{
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT sum(v) FROM local;
INSERT INTO safe VALUES (1, '{a}'), (2, '{b}');
UPDATE local SET v = 4 WHERE id = 1;
\! $CLUSTER psql -XAtqc "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(v) FROM local; UPDATE local SET v = 3 WHERE id = 2; COMMIT"
COMMIT;
} =~ s/\$CLUSTER/$cluster->{script}/r);
    isnt($status, 0, 'a transaction that cannot be serialized fails');
    like($error, qr/WARNING:\s+$rolled_back/, 'and says that its writes had left') or diag $error;
    like($error, qr/Of 2 writes, 2 applied: \(\d\), \(\d\), 0 refused, 0 unknown, 0 not sent\./, 'and how many were applied');
    is($cluster->query('SELECT count(*) FROM safe WHERE id IN (1, 2)'), 2, 'which is so');
}

# ---- a cancel while the second of two clusters is written ----
{
    my ($said, %told) = ('');
    my $key = key_coordinated_elsewhere(5, 3);
    for my $tables ([ 'safe', 'wide' ], [ 'narrow', 'all_of_it' ])
    {
        $cluster->stop(3);
        my $session = $cluster->background("SET application_name = 'two clusters';\nBEGIN;\n"
            . "INSERT INTO $tables->[0] VALUES ($key, '{a}');\nINSERT INTO $tables->[1] VALUES ($key, '{b}');\nCOMMIT;");
        my $pid = committing($session, 'two clusters');
        $cluster->query("SELECT pg_cancel_backend($pid)");
        my ($status, $out, $error) = $cluster->finish($session);
        like($error, qr/57014.*DETAIL:\s+Of 1 writes, 0 applied, 0 refused, 1 unknown/s, "$tables->[1]: the cancel is told with the counts")
            or diag $error;
        $said .= $error;
        $told{$1} = $error if $error =~ $rolled_back;
        $cluster->cont(3);
        $cluster->await_all_up;
    }
    # Which cluster is written first is PostgreSQL's to choose.
    ok(%told, 'and so is what had been written to the other cluster') or diag $said;
    like($_, qr/Of 1 writes, 1 applied: \($key\)/, 'with its own counts') for values %told;
}

# ---- the end of a session ----
{
    $cluster->stop(3);
    my $session = $cluster->background("SET application_name = 'ended';\nINSERT INTO safe VALUES (99, '{a}');\nBEGIN;\n"
        . "INSERT INTO all_of_it SELECT i, '{b}' FROM generate_series(100, 109) i;\nCOMMIT;");
    my $pid = committing($session, 'ended');
    $cluster->query("SELECT pg_terminate_backend($pid)");
    $cluster->finish($session);
    $cluster->await('the server has a word of it in its log', sub {
        $cluster->log_text('postgres') =~ /\[$pid\].*LOG:\s+$rolled_back.*\n.*DETAIL:\s+Of 10 writes, \d+ applied.*, 10 unknown/;
    });
    $cluster->cont(3);
    $cluster->await_all_up;
}

# ---- more than the nodes take at once ----
{
    my @sessions = map {
        my $from = $_ * 100_000;
        $cluster->background("SET dynamo_fdw.request_timeout = '300ms';\n"
            . "INSERT INTO safe SELECT i, '{c}' FROM generate_series($from, $from + 29999) i;\n"
            . "SELECT 'session $_ is through';");
    } 1 .. 6;
    for my $i (1 .. @sessions)
    {
        my ($status, $out, $error) = $cluster->finish($sessions[ $i - 1 ]);
        unlike($error, qr/ 53000:/, "the large COMMIT $i is not refused for what others write");
    }
    like($cluster->console(1, 'SHOW STATS'), qr/^frames_shed_full\|[1-9]/m, 'though nodes refused frames meanwhile');
}

done_testing;
