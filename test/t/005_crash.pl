# kill -9 of all nodes at once under load: whatever was acknowledged is there afterwards, and nothing
# is there twice.
use strict;
use warnings;
use DynamoCluster;
use Test::More;
use Time::HiRes qw(sleep time);

my $writers = 4;
my $rounds  = 3;
my $cluster = DynamoCluster->new(nodes => 3);
$cluster->query(q{
CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[], context bytea OPTIONS (context 'true'))
    SERVER dynamo OPTIONS (bucket 't', n '3', r '2', w '2');
INSERT INTO t (id, v) VALUES (0, '{made}');
});

my %acknowledged;
for my $round (1 .. $rounds)
{
    # Each writer says "acked KEY" after each commit, and stops at its first error.
    my @sessions = map {
        my $writer = $_;
        $cluster->background(join '', map {
            my $key = ($round * 10 + $writer) * 1_000_000 + $_;
            "INSERT INTO t (id, v) VALUES ($key, '{value $key}') \\g\n"
                . "\\if :ERROR\n\\q\n\\else\n\\echo acked $key\n\\endif\n"
        } 1 .. 20000)
    } 1 .. $writers;

    my $seen = sub { my $n = 0; $n += () = $_->{out} =~ /acked/g for @sessions; $n };
    my $end = time + 60;
    while ($seen->() < 300 * $round && time < $end)
    {
        $_->{harness}->pump_nb for @sessions;
        sleep 0.01;
    }
    # One after another as fast as they go; the load goes on meanwhile.
    kill 'KILL', map { $cluster->server($_)->{pid} } 1 .. 3;
    for my $session (@sessions)
    {
        my ($status, $out) = $cluster->finish($session);
        $acknowledged{$_} = 1 for $out =~ /^acked (\d+)$/mg;
    }
    cmp_ok(scalar keys %acknowledged, '>=', 300 * $round, "round $round: writes were acknowledged before the crash");
    $cluster->start($_) for 1 .. 3;
    $cluster->await("round $round: the cluster is back",
        sub { $cluster->query('SELECT count(*) FROM t WHERE id = 0') == 1 }, 60);

    my %found = map { split /\|/ } split /\n/, $cluster->query('SELECT id, cardinality(v) FROM t');
    my @lost = grep { !$found{$_} } sort keys %acknowledged;
    is(scalar @lost, 0, "round $round: none of " . keys(%acknowledged) . ' acknowledged rows is lost')
        or diag "lost: @lost[0 .. ($#lost < 9 ? $#lost : 9)]";
    my @twice = grep { $found{$_} > 1 } sort keys %found;
    is(scalar @twice, 0, "round $round: no row has two siblings")
        or diag "twice: @twice[0 .. ($#twice < 9 ? $#twice : 9)]";
}

done_testing;
