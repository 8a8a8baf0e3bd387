# More than a node can take: half-open connections, sessions of one role, a client that reads nothing, and ten times the
# load. Others go on meanwhile, and afterwards all is as before. OVERLOAD_SECONDS (4) is how long the load lasts;
# `make soak` makes it a minute.
use strict;
use warnings;
use DynamoCluster;
use IO::Socket::INET;
use IPC::Run ();
use List::Util qw(max sum0);
use Test::More;
use Time::HiRes qw(sleep time);

my $flood_seconds = $ENV{OVERLOAD_SECONDS} // 4;
my $cluster = DynamoCluster->new(nodes => 3, up => ['--no-postgres'],
    config => [ 'trust_loopback=on', 'output_timeout_ms=1000', 'max_connections=200' ]);
my $program = DynamoCluster::program() =~ s/dynamo_node$/bench_flood/r;
my $port = $cluster->port(1);
($ENV{PGPASSWORD}) = ($cluster->run('password'))[1] =~ /(\w+)/;

sub stat_of
{
    my ($name, $node) = @_;
    my ($value) = $cluster->console($node // 1, 'SHOW STATS') =~ /^\Q$name\E\|(\d+)/m;
    return $value;
}

sub connect_raw { return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp') }

sub start_program
{
    my (@arguments) = @_;
    my $run = { out => '', error => '' };
    $run->{harness} = IPC::Run::start([ $program, @arguments, '-p', $port ], '<', \undef, '>', \$run->{out},
        '2>', \$run->{error}, IPC::Run::timeout($flood_seconds + 120));
    return $run;
}

sub finish_program
{
    my ($run, $what) = @_;
    my $ended = eval { $run->{harness}->finish };
    ok($ended, "$what ends well") or diag $run->{error}, $@;
    return $run->{out};
}

# The seconds of a probe, each with p99_ms, done and refused.
sub seconds_of
{
    my ($text) = @_;
    return map { my @word = split; { p99_ms => $word[2] / 1000, done => $word[3], refused => $word[4] } } split /\n/, $text;
}

sub probe { return seconds_of(finish_program(start_program('probe', 'put', '-s', $_[0]), 'a probe')) }

# ---- half-open connections ----

my @half_open = map { connect_raw() } 1 .. 300;
is(scalar(grep { defined } @half_open), 300, '300 connections are made that never log in');
my $started = time;
like($cluster->console(1, 'SHOW VERSION'), qr/\d/, 'an admin logs in beside them, from the same address');
cmp_ok(time - $started, '<', 5, 'and does not wait for that');
$cluster->await('when they are old, those beyond max_unauthenticated_per_address are cut for newcomers', sub {
    connect_raw();
    stat_of('connections_refused_address') > 200 });
@half_open = ();

# ---- all sessions of a role ----

# A session logged in as a user whom loopback is trusted for; what the node says first.
sub log_in
{
    my ($user) = @_;
    my $socket = connect_raw() or return;
    my $words = join("\0", 'user', $user, 'database', 'dynamo', '', '');
    print $socket pack('N N', length($words) + 8, 196608), $words;
    $socket->flush;
    my $answer = '';
    sysread $socket, $answer, 4096;
    return ($socket, $answer);
}

my (@sessions, $refusal);
for (1 .. 250)
{
    my ($socket, $answer) = log_in('dynamo');
    push @sessions, $socket;
    $refusal = $answer if $answer =~ /^E/;
    last if $refusal;
}
is(scalar @sessions, 201, 'users of the role data may have max_connections sessions');
like($refusal, qr/53300.*"data" are all in use.*max_connections/s, 'and the next is told why not');
is(stat_of('connections_refused_full'), 1, 'an admin still gets in, and sees how often that happened');
@sessions = ();
$cluster->await('ended sessions make room', sub { ((log_in('dynamo'))[1]) =~ /^R/ });

# Streams are for who has a password.
for my $node (1 .. 3)
{
    my $path = $cluster->node_folder($node) . '/dynamo.conf';
    open my $file, '>>', $path or die "$path: $!";
    print $file "trust_loopback = off\n";
    close $file;
    kill HUP => $cluster->server($node)->{pid};
    $cluster->await("node $node trusts nobody any more",
        sub { $cluster->console($node, 'SHOW CONFIG') =~ /^trust_loopback\|off/m });
}

# ---- a client that reads nothing ----

my $load = start_program('probe', 'put', '-s', 4);
my $out = finish_program(start_program('mute', 'get', '-s', 20), 'a client that asks and never reads');
like($out, qr/^cut after/, 'it is cut');
is(stat_of('sessions_cut_slow'), 1, 'which is counted');
like($cluster->log_text(1), qr/error .*closed session .*: its client has read nothing/, 'and logged as an error');
cmp_ok(sum0(map { $_->{done} } seconds_of(finish_program($load, 'a client beside it'))), '>', 40, 'others go on');

# ---- ten times the load ----

my @before = probe(3);
my $usual_ms = max(map { $_->{p99_ms} } @before);
my $probe = start_program('probe', 'put', '-s', $flood_seconds + 2);
my $flood = start_program('flood', 'put', '-c', 40, '-s', $flood_seconds);
$cluster->await('the node sheds what it cannot do', sub { stat_of('frames_shed') > 10_000 }, $flood_seconds + 20);
my ($sent, $done, $refused) = finish_program($flood, 'a flood') =~ /sent (\d+) done (\d+) refused (\d+)/;
cmp_ok($refused, '>', $done, 'most is refused');
cmp_ok($done, '>', 1000, 'and some is done');
diag sprintf '%d frames a second, of which %d were done', $sent / $flood_seconds, $done / $flood_seconds;
my @beside = seconds_of(finish_program($probe, 'a client beside the flood'));
cmp_ok(sum0(map { $_->{done} } @beside), '>', $flood_seconds, 'who asks for one thing at a time is served meanwhile');
cmp_ok(max(map { $_->{p99_ms} } @beside), '<', 5000, 'in time');

my $quiet = time;
my $now_ms;
$cluster->await('the latency is what it was within 30 s', sub {
    $now_ms = max(map { $_->{p99_ms} } probe(1));
    $now_ms < max(2 * $usual_ms, 100) }, 30);
diag sprintf 'p99 %.1f ms before, %.1f ms beside the flood, %.1f ms %.1f s after it', $usual_ms,
    max(map { $_->{p99_ms} } @beside), $now_ms, time - $quiet;
is(stat_of('requests'), 0, 'nothing is left under way');
cmp_ok(stat_of('resident_bytes'), '<', 1024 * 1024 * 1024, 'and memory stayed bounded');
$cluster->await_all_up('no node lost sight of another for good');

done_testing;
