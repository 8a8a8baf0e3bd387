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
my $rolled_back = qr/transaction was rolled back after writes had been sent to the cluster of server "(\w+)"/;

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

# The process id of a backend that has been in its COMMIT for a third of a second; undef: it is through.
sub committing
{
    my ($session, $marker) = @_;
    my $pid;
    my ($met) = $cluster->poll(sub {
        $session->{harness}->pump_nb;    # it gets its statements
        $pid = $cluster->query("SELECT pid FROM pg_stat_activity WHERE application_name = '$marker' AND query = 'COMMIT;'"
            . " AND wait_event_type = 'Extension' AND clock_timestamp() - query_start > interval '0.3 seconds'");
        return $pid =~ /^\d+$/ || !$session->{harness}->pumpable;
    });
    return $met && $pid =~ /^\d+$/ ? $pid : undef;
}

# Strikes a COMMIT that waits for node 3, which stands still, by that function of PostgreSQL; what the session and its
# backend have said. On a machine that is slow enough the COMMIT ends by itself, once node 3 counts as down, or has not
# come as far as it should: then it is tried again, with other keys.
sub strike_commit
{
    my ($strike, $script, $is_seen) = @_;
    my $said = '';
    for my $try (1 .. 10)
    {
        $cluster->stop(3);
        my $session = $cluster->background("SET application_name = 'try $try';\n" . $script->($try));
        my $pid = committing($session, "try $try");
        $cluster->query("SELECT $strike($pid)") if defined $pid;
        my ($status, $out, $error) = $cluster->finish($session);
        $said .= $error;
        my ($seen) = defined $pid ? $cluster->poll(sub { $is_seen->($error, $pid, $try) }, 1) : ();
        $cluster->cont(3);
        $cluster->poll(sub { $cluster->all_are_up(3) });
        return (1, $said) if $seen;
    }
    return (0, $said);
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
    # Which cluster is written first is PostgreSQL's to choose: that one, or the one that waits for node 3.
    my @orders = ([ 'safe', 'wide' ], [ 'narrow', 'all_of_it' ]);
    my @keys = map { key_coordinated_elsewhere(1000 * $_, 3) } 1 .. 10;
    my ($told, $said) = strike_commit('pg_cancel_backend', sub {
        my ($first, $second) = $orders[ $_[0] % 2 ]->@*;
        my $key = $keys[ $_[0] - 1 ];
        return "BEGIN;\nINSERT INTO $first VALUES ($key, '{a}');\nINSERT INTO $second VALUES ($key, '{b}');\nCOMMIT;";
    }, sub {
        my ($error, undef, $try) = @_;
        my $key = $keys[ $try - 1 ];
        return $error =~ /57014.*DETAIL:\s+Of 1 writes, 0 applied, 0 refused, 1 unknown/s
            && $error =~ /$rolled_back.*\n.*DETAIL:\s+Of 1 writes, 1 applied: \($key\)/;
    });
    ok($told, 'a cancel is told with the counts of the cluster that it met and of the one before') or diag $said;
}

# ---- the end of a session ----
{
    my ($told, $said) = strike_commit('pg_terminate_backend', sub {
        my $from = 100 * $_[0];
        return "INSERT INTO safe VALUES ($from, '{a}');\nBEGIN;\n"
            . "INSERT INTO all_of_it SELECT i, '{b}' FROM generate_series($from, $from + 9) i;\nCOMMIT;";
    }, sub {
        my (undef, $pid) = @_;
        $cluster->log_text('postgres') =~ /\[$pid\].*LOG:\s+$rolled_back.*\n.*DETAIL:\s+Of 10 writes, \d+ applied.*, 10 unknown/;
    });
    ok($told, 'the server has in its log what a session that was ended had written') or diag $said;
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
