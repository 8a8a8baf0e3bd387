# Every wait of a backend ends: by statement_timeout, by request_timeout, by cancel; the session and its
# connections go on afterwards. A node that was away is used again, also by a session that rests in between.
use strict;
use warnings;
use DynamoCluster;
use Test::More;
use Time::HiRes qw(time);

my $cluster = DynamoCluster->new(nodes => 3);
$cluster->query(q{
CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'waits');
CREATE FOREIGN TABLE absent (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'waits_absent');
INSERT INTO t SELECT i, ARRAY['v' || i] FROM generate_series(1, 500) i;
});

my @waits = (
    [ 'a lookup', 'SELECT v FROM t WHERE id = 1' ],
    [ 'a scan', 'SELECT count(*) FROM t' ],
    [ 'a commit', "INSERT INTO t VALUES (1001, '{in doubt}'), (1002, '{in doubt}')" ],
    [ 'a read of an absent bucket', 'SELECT * FROM absent' ],
    [ 'the creation of a bucket', "INSERT INTO absent VALUES (1, '{x}')" ],
    [ 'connecting', "DISCARD TEMP; SELECT dynamo_disconnect('dynamo') \\g /dev/null\nSELECT v FROM t WHERE id = 2" ],
);
my $all_rows = 'SELECT count(*) FROM t WHERE id <= 500;';
my $script = $cluster->{script};
my $stop_all = join '', map { "\\! $script stop $_ >/dev/null\n" } 1 .. 3;
my $cont_all = join '', map { "\\! $script cont $_ >/dev/null\n" } 1 .. 3;

my $sessions = 0;

# A session that connects, sees all nodes stop, meets each wait, sees them go on, and goes on itself.
sub session
{
    my ($settings) = @_;
    $sessions++;    # a bucket that is asked for in vain may yet be created when the nodes go on
    return $cluster->background("ALTER FOREIGN TABLE absent OPTIONS (SET bucket 'waits_absent_$sessions');\n"
        . "$all_rows\n$stop_all$settings\n" . join('', map {
        "SELECT clock_timestamp() AS start \\gset\n$_->[1];\n\\echo code :LAST_ERROR_SQLSTATE\n"
            . "SELECT 'took ' || extract(epoch FROM clock_timestamp() - :'start');\n"
    } @waits) . "RESET ALL;\n$cont_all$all_rows\n");
}

# Each wait ended with the error of its place, within the seconds; the session found every row at the end.
sub ended
{
    my ($how, $session, $seconds, @codes) = @_;
    my ($status, $out, $error) = $cluster->finish($session);
    my @code = $out =~ /^code (\w+)$/mg;
    my @took = $out =~ /^took ([\d.]+)$/mg;
    for my $i (0 .. $#waits)
    {
        my $wanted = $codes[$i] // $codes[0];
        is($code[$i] // 'none', $wanted, "$how: $waits[$i][0] ends with $wanted") or diag $error;
        cmp_ok($took[$i] // 99, '<', $seconds, "$how: $waits[$i][0] ends in time");
    }
    like($out, qr/^500\s*\z/m, "$how: the session goes on");
    return $error;
}

my $error = ended('statement_timeout', session("SET statement_timeout = '500ms';"), 2, '57014');
like($error, qr/2 unknown: \(1001\), \(1002\)/, 'statement_timeout: the commit says what became of its writes');

$error = ended('request_timeout', session("SET dynamo_fdw.request_timeout = '600ms';"), 4,
    '57P03', '57P03', '08007', '08001', '08001', '08001');
like($error, qr/could not confirm the write of key \(1001\).*127\.0\.0\.1:\d+\) did not answer/s,
    'request_timeout: the error names the key and the nodes');

# A cancel each time the session is found waiting.
my $session = session('');
for my $wait (@waits)
{
    $cluster->await("cancel: $wait->[0] is found waiting and canceled", sub {
        $session->{harness}->pump_nb;
        $cluster->query(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE state = 'active'
            AND wait_event_type = 'Extension' AND clock_timestamp() - query_start > '200ms'}) eq 't' });
}
$error = ended('cancel', $session, 4, '57014');
like($error, qr/user request.*2 unknown: \(1001\), \(1002\)/s, 'cancel: the commit says what became of its writes');

# ---- a session that rests ----
# Its links to a node that is restarted meanwhile are dead when it wakes; it must not notice but for a moment, and it must
# come back to using the node, although it hardly ever waits.
$session = $cluster->background("$all_rows\n\\! $script kill 2 >/dev/null\n$all_rows\n\\! $script start 2 >/dev/null\n"
    . join('', map { "SELECT pg_sleep(0.5);\n$all_rows\n" } 1 .. 8)
    . "SELECT 'up ' || count(*) FROM dynamo_connections() WHERE state = 'up';\n");
my ($status, $out);
($status, $out, $error) = $cluster->finish($session);
is($status, 0, 'a session that rests: no error') or diag $error;
is(scalar(() = $out =~ /^500$/mg), 10, 'a session that rests: every row each time');
like($out, qr/^up 3$/m, 'a session that rests: the restarted node is used again');

# ---- no connection and no memory is lost on the way of errors ----
$out = $cluster->query(q{
SELECT count(*) FROM t WHERE id = 1;
CREATE TEMP TABLE before AS SELECT sum(total_bytes) AS bytes FROM pg_backend_memory_contexts WHERE name ~ '^dynamo_fdw';
DO $$
DECLARE
    opened refcursor;
    got record;
BEGIN
    FOR i IN 1 .. 300 LOOP
        BEGIN
            OPEN opened FOR SELECT * FROM t;
            FETCH opened INTO got;
            PERFORM v[1]::int FROM t WHERE id > 5;
        EXCEPTION WHEN invalid_text_representation THEN
            NULL;
        END;
    END LOOP;
END $$;
SELECT sum(total_bytes) - bytes <= 65536 FROM pg_backend_memory_contexts, before WHERE name ~ '^dynamo_fdw' GROUP BY bytes;
SELECT count(*) FROM dynamo_connections();
});
is($out, "1\nt\n3", 'errors in the middle of scans leave nothing behind');

done_testing;
