# What was replaced stays replaced: a node stands still with writes in its socket, they are sent again elsewhere,
# acknowledged and deleted, and the node goes on. And a node that stands still for longer than a write lives.
use strict;
use warnings;
use DynamoCluster;
use Test::More;

my $cluster = DynamoCluster->new(nodes => 3);
my $keys = 20;
$cluster->query(q{
CREATE FOREIGN TABLE t (k bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'replaced');
INSERT INTO t SELECT i, ARRAY['before'] FROM generate_series(1, 10) i;
});

sub stat_of
{
    my ($node, $name) = @_;
    my ($row) = grep { /^\Q$name\E\|/ } split /\n/, $cluster->console($node, 'SHOW STATS');
    return (split /\|/, $row)[1];
}

# One session throughout, so that its links are made and the stopped node's socket takes its frames.
sub run
{
    my ($first, $change) = @_;
    my $script = $cluster->{script};
    my $inserts = join '', map { sprintf "INSERT INTO t VALUES (%d, ARRAY['was replaced']);\n", $first + $_ } 1 .. $keys;
    return $cluster->finish($cluster->background("SELECT count(*) FROM t WHERE k < 11;\n"
        . "INSERT INTO t SELECT i, ARRAY['warm'] FROM generate_series(11, 60) i;\n"
        . "\\! $script stop 1 >/dev/null\n$inserts$change\\! $script cont 1 >/dev/null\n"));
}

for my $case (
    [ 'deleted', 1000, 'DELETE FROM t WHERE k > 1000 AND k < 2000;', 0 ],
    [ 'updated', 2000, "UPDATE t SET v = ARRAY['new'] WHERE k > 2000 AND k < 3000;", $keys ])
{
    my ($what, $first, $change, $rows) = @$case;
    my $retried = stat_of(1, 'writes_retried');
    my ($status, $out, $error) = run($first, "$change\n");

    is($error, '', "$what while a node stood still, without an error");
    $cluster->await_all_up;
    $cluster->await("$what: the node took up its frames", sub { stat_of(1, 'writes_retried') > $retried });
    $cluster->await("$what: and is done with them", sub { stat_of(1, 'requests') == 0 });
    for my $node (1 .. 3)
    {
        my $where = sprintf 'k > %d AND k < %d', $first, $first + 1000;
        is($cluster->query("SELECT count(*) FROM t WHERE $where", options => "-c dynamo_fdw.r=$node"), $rows,
            "$what: r=$node sees $rows rows");
        is($cluster->query("SELECT count(*) FROM t WHERE $where AND v && ARRAY['was replaced']",
                options => "-c dynamo_fdw.r=$node"), 0, "$what: and none of them as it was");
    }
}
done_testing;
