# Sessions that are idle while something becomes of their links: all nodes restarted in turn, all
# killed while no packet told so, one in a black hole. Their next statements do not fail, and what
# is well again is used again within a second. In a network namespace of the test's own.
use strict;
use warnings;
use BlackHole;
use DynamoCluster;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'needs root, ip and nft' if !BlackHole::is_possible();
BlackHole::enter();

my $cluster = DynamoCluster->new(nodes => 3);
my @ports   = map { $cluster->port($_) } 1 .. 3;
$cluster->query(q{
CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[], context bytea OPTIONS (context 'true'))
    SERVER dynamo OPTIONS (bucket 't', n '3', r '2', w '2');
CREATE FOREIGN TABLE nothing (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 'nothing', n '3');
CREATE TABLE wanted AS SELECT i AS id FROM generate_series(1, 50) i;
INSERT INTO t (id, v) SELECT i, ARRAY['value ' || i] FROM generate_series(1, 300) i;
});

# ---- sessions that are asked one thing after another ----

sub start_session
{
    my ($first) = @_;
    my $session = $cluster->background("\\set QUIET on\n\\set VERBOSITY default\n$first\n\\echo done", seconds => 120);
    await_done($session, 1);
    return $session;
}

sub await_done
{
    my ($session, $times) = @_;
    $session->{harness}->pump until (() = $session->{out} =~ /^done$/mg) >= $times || $session->{out} =~ /^lost$/m;
    return;
}

# What the statement gives, and how long it takes; an error is shown.
sub ask
{
    my ($session, $sql) = @_;
    my $length = length $session->{out};
    my $times  = () = $session->{out} =~ /^done$/mg;
    my $from   = time;
    $session->{in} .= "$sql\n\\echo done\n";
    await_done($session, $times + 1);
    my $out = substr $session->{out}, $length;
    $out =~ s/^done\n//m;
    my $error = $session->{error};
    $session->{error} = '';
    chomp $out;
    return ("$out$error", time - $from);
}

# kind => [what it has done before, what it is asked next, what must come]
my %kinds = (
    read  => ['SELECT v FROM t WHERE id = 7;', 'SELECT v FROM t WHERE id = 7;', '{"value 7"}'],
    many  => ['SELECT v FROM t WHERE id = 7;', 'SELECT count(*) FROM t WHERE id = ANY (ARRAY(SELECT generate_series(1, 250)));', '250'],
    scan  => ['SELECT v FROM t WHERE id = 7;', 'SELECT count(*) FROM t WHERE id <= 300;', '300'],
    join  => ['SELECT v FROM t WHERE id = 7;', 'SELECT count(*) FROM wanted JOIN t USING (id);', '50'],
    look  => ['SELECT v FROM t WHERE id = 7;', 'SELECT count(*) FROM nothing WHERE id = 1;', '0'],
    write => ['SELECT v FROM t WHERE id = 7;',
              "INSERT INTO t (id, v) SELECT i, ARRAY['new'] FROM generate_series(1001, 1050) i; SELECT count(*) FROM t WHERE id BETWEEN 1001 AND 1050 AND array_length(v, 1) = 1;", '50'],
    update => ['SELECT v FROM t WHERE id = 8;', "UPDATE t SET v = ARRAY['changed'] WHERE id = 8; SELECT v FROM t WHERE id = 8;", '{changed}'],
    cursor => ['BEGIN; DECLARE c CURSOR FOR SELECT id FROM t WHERE id <= 300; MOVE 5 IN c;', 'MOVE ALL IN c; SELECT 1; COMMIT;', '1'],
    nodes  => ['SELECT v FROM t WHERE id = 7;', q{SELECT count(*) FROM dynamo_nodes('dynamo') WHERE status = 'up';}, '3'],
);

# Each in a session of its own, before and after what is done meanwhile.
sub over
{
    my ($what, $done) = @_;
    my %session = map { $_ => start_session($kinds{$_}[0]) } sort keys %kinds;
    $done->();
    for my $kind (sort keys %kinds)
    {
        my ($answer, $seconds) = ask($session{$kind}, $kinds{$kind}[1]);
        is($answer, $kinds{$kind}[2], "$what: $kind");
        cmp_ok($seconds, '<', 3, "$what: $kind in time");
    }
    $_->{harness}->kill_kill(grace => 1) for values %session;
    $cluster->query("DELETE FROM t WHERE id > 1000; UPDATE t SET v = ARRAY['value 8'] WHERE id = 8");
    return;
}

over('restarted in turn', sub {
    for my $node (1 .. 3)
    {
        $cluster->run('console', $node, '-qc', 'SHUTDOWN');
        $cluster->await("node $node has ended", sub { $cluster->server($node)->{state} eq 'down' });
        $cluster->start($node);
        $cluster->await_all_up("node $node is back");
    }
});

# As if their machines had been switched off: the first packet that a session sends is answered with
# a reset.
over('all dead without a word', sub {
    BlackHole::forget_soon();
    BlackHole::drop(@ports);
    $cluster->kill($_) for 1 .. 3;
    my $filter = join ' or ', map { "sport = :$_" } @ports;
    $cluster->await('nothing is left of their connections', sub { `ss -Htan state fin-wait-1 '( $filter )'` eq '' }, 60);
    BlackHole::restore(@ports);
    $cluster->run('start', $_) for 1 .. 3;
    $cluster->await_all_up('all are back');
});

# ---- a black hole, as long as TCP waits a second and more between its tries ----
{
    my $session = start_session('SET dynamo_fdw.r = 3; SELECT v FROM t WHERE id = 7;');
    my $other   = start_session('SET dynamo_fdw.r = 2; SELECT v FROM t WHERE id = 7;');
    BlackHole::drop($ports[2]);
    $cluster->await('node 1 misses node 3', sub { $cluster->console(1, 'SHOW NODES') =~ /\|$ports[2]\|[^|]*\|down\|/ }, 20);
    my ($answer) = ask($other, 'SELECT v FROM t WHERE id = 7;');
    is($answer, '{"value 7"}', 'in a black hole: the others answer');
    my $from = time;
    $session->{in} .= "SELECT v FROM t WHERE id = 7;\n\\echo done\n";
    $session->{harness}->pump_nb, sleep 0.05 while time < $from + 3;
    my $restored = time;
    BlackHole::restore($ports[2]);
    await_done($session, 2);
    like($session->{out}, qr/^\{"value 7"\}\ndone\n\{"value 7"\}\ndone$/m, 'healed: the read that waited for it is answered')
        or diag $session->{error};
    cmp_ok(time - $restored, '<', 1.5, 'healed: within a second');
    my ($met) = $cluster->poll(sub { $cluster->all_are_up(3) }, 10);
    cmp_ok(time - $restored, '<', 2, 'healed: the nodes have found each other');
    ($answer, my $seconds) = ask($session, 'SELECT v FROM t WHERE id = 7;');
    is($answer, '{"value 7"}', 'healed: the next read');
    cmp_ok($seconds, '<', 0.5, 'healed: the next read at once');
    $_->{harness}->kill_kill(grace => 1) for $session, $other;
}

# So short that no node was held for dead.
{
    my $session = start_session('SET dynamo_fdw.r = 3; SELECT v FROM t WHERE id = 7;');
    BlackHole::drop($ports[2]);
    $session->{in} .= "SELECT v FROM t WHERE id = 9;\n\\echo done\n";
    my $from = time;
    $session->{harness}->pump_nb, sleep 0.05 while time < $from + 2.5;
    my $restored = time;
    BlackHole::restore($ports[2]);
    await_done($session, 2);
    like($session->{out}, qr/^\{"value 9"\}\ndone$/m, 'a short black hole: the read is answered') or diag $session->{error};
    cmp_ok(time - $restored, '<', 1.5, 'a short black hole: within a second');
    $cluster->await_all_up('all are up in the end');
}

done_testing;
