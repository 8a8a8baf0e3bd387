# A statement that joins a foreign table waits for another session's change of a local row, and then
# joins the changed row again (EvalPlanQual): batched joins as nested loops do.
use strict;
use warnings;
use DynamoCluster;
use Test::More;

my $cluster = DynamoCluster->new(nodes => 3);
$cluster->query(q{
CREATE FOREIGN TABLE price (sku text OPTIONS (key 'true'), cents int[]) SERVER dynamo OPTIONS (bucket 'price');
INSERT INTO price VALUES ('a', '{1}'), ('b', '{2}'), ('c', '{3}');
CREATE TABLE line (id int PRIMARY KEY, sku text, pieces int, note text);
INSERT INTO line SELECT g, chr(96 + g), 0, 'none' FROM generate_series(1, 4) g;
ANALYZE line;
});

# Commits when another session waits for what the transaction changed.
my $commit_when_waited_for = q{
DO $$
BEGIN
    FOR i IN 1..3000 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock');
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
COMMIT;
};

# What $waiting gives and leaves when it has to wait for $change.
sub race
{
    my ($batched, $change, $waiting) = @_;

    $cluster->query(q{UPDATE line SET sku = chr(96 + id), pieces = 0, note = 'none'});
    my $first = $cluster->background("BEGIN; $change; SELECT pg_advisory_lock(1); $commit_when_waited_for");
    $cluster->await('the change is made', sub {
        $first->{harness}->pump_nb;
        return $cluster->query(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted}) > 0;
    }) or BAIL_OUT('the other session does not start');
    my $out = $cluster->query($waiting, options => "-c dynamo_fdw.enable_batch_join=$batched");
    my ($status, undef, $error) = $cluster->finish($first);
    is($status, 0, 'the change is committed') or diag $error;
    return $out . '/' . $cluster->query(q{SELECT string_agg(id || sku || pieces || note, ' ' ORDER BY id) FROM line});
}

my @races = (
    ['a change beside the key is seen',
        'UPDATE line SET pieces = 5 WHERE id = 1',
        'UPDATE line SET note = cents[1] + pieces FROM price p WHERE p.sku = line.sku AND id < 3',
        '/1a56 2b02 3c0none 4d0none'],
    ['a row whose key changed is no match any more',
        q{UPDATE line SET sku = 'b' WHERE id = 1},
        'UPDATE line SET note = cents[1] FROM price p WHERE p.sku = line.sku AND id < 3',
        '/1b0none 2b02 3c0none 4d0none'],
    ['a filter decides again',
        'UPDATE line SET pieces = 5 WHERE id = 1',
        'UPDATE line SET note = cents[1] FROM price p WHERE p.sku = line.sku AND cents[1] > pieces AND id < 3',
        '/1a5none 2b02 3c0none 4d0none'],
    ['a row without a match stays so',
        'UPDATE line SET pieces = 5 WHERE id = 4',
        'SELECT l.id, l.pieces, cents FROM line l LEFT JOIN price p ON p.sku = l.sku WHERE l.id > 2 ORDER BY l.id FOR UPDATE OF l',
        "3|0|{3}\n4|5|/1a0none 2b0none 3c0none 4d5none"],
    ['a deleted row is gone',
        'DELETE FROM line WHERE id = 1; INSERT INTO line VALUES (5, $$a$$, 0, $$none$$)',
        'DELETE FROM line USING price p WHERE p.sku = line.sku AND id < 3',
        '/3c0none 4d0none 5a0none'],
);
for my $race (@races)
{
    my ($name, $change, $waiting, $expected) = @$race;
    my $plan = $cluster->query("EXPLAIN (COSTS OFF) $waiting");
    like($plan, qr/DynamoBatchJoin/, "$name: the plan is a batched join");
    is(race($_, $change, $waiting), $expected, "$name, batched: $_") for $name =~ /deleted/ ? 'on' : ('off', 'on');
}

done_testing();
