# Who is alive, as gossip knows it: a killed node is dead to all within 5 s, a stopped one evicts nobody,
# both are back within 2 s; noise, a copied folder and old packets change nothing and get no answer.
use strict;
use warnings;
use DynamoCluster;
use DynamoProgram;
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);

my $nodes   = 5;
my $cluster = DynamoCluster->new(nodes => $nodes, up => ['--no-postgres']);
my %server  = map { $_ => $cluster->server($_) } 1 .. $nodes;
my %name    = map { $_ => "node_$server{$_}{port}" } 1 .. $nodes;

# What one node holds of another.
sub gossip
{
    my ($observer, $member) = @_;
    my ($row) = grep { /^\Q$name{$member}\E\|/ } split /\n/, $cluster->console($observer, 'SHOW NODES');
    return (split /\|/, $row)[5];
}

sub stat_of
{
    my ($node, $stat) = @_;
    return $cluster->console($node, 'SHOW STATS') =~ /^\Q$stat\E\|(\d+)/m ? $1 : undef;
}

sub others { my ($node) = @_; return grep { $_ != $node } 1 .. $nodes }

# Lines of each other node's log about the node, so far.
sub told
{
    my ($node, $what) = @_;
    my $line = "node $name{$node} is " . ($what eq "back" ? "alive again" : $what);
    return map { my $count = () = slurp($server{$_}{log}) =~ /\Q$line\E/g; $count } others($node);
}

# How long until every other node's log says once more that the node is dead, or back.
sub seconds_until_told
{
    my ($node, $what, $from, @before) = @_;
    while (time < $from + 60)
    {
        my @now = told($node, $what);
        return time - $from unless grep { $now[$_] <= $before[$_] } 0 .. $#now;
        sleep 0.02;
    }
    return 60;
}

sub held_by_others
{
    my ($node, $state, $text) = @_;
    $cluster->await($text, sub { !grep { gossip($_, $node) ne $state } others($node) });
}

held_by_others($_, 'alive', "node $_ is alive to all") for 1 .. $nodes;

# ---- killed and started ----
{
    my @before = told(3, 'dead');
    my $from = time;
    $cluster->kill(3);
    my $seconds = seconds_until_told(3, 'dead', $from, @before);
    cmp_ok($seconds, '<', 5, sprintf 'a killed node is dead everywhere within 5 s (%.1f)', $seconds);
    is(gossip($_, 3), 'dead', "SHOW NODES of node $_ says so") for others(3);

    @before = told(3, 'back');
    $cluster->start(3);
    $from = time;
    $seconds = seconds_until_told(3, 'back', $from, @before);
    cmp_ok($seconds, '<', 2, sprintf 'started again it is back everywhere within 2 s (%.1f)', $seconds);
    held_by_others(3, 'alive', 'SHOW NODES of every other node says so');
    $cluster->await('and it knows that all others are alive', sub { !grep { gossip(3, $_) ne 'alive' } others(3) });
}

# ---- stopped and continued: dead to the others, but it evicts nobody ----
{
    my @before = told(1, 'dead');
    my $deaths = stat_of(1, 'gossip_deaths');
    my $from = time;
    $cluster->stop(1);
    my $seconds = seconds_until_told(1, 'dead', $from, @before);
    cmp_ok($seconds, '<', 6, sprintf 'a stopped node is dead everywhere (%.1f)', $seconds);
    sleep 0.05 while time < $from + 5;

    @before = told(1, 'back');
    $from = time;
    $cluster->cont(1);
    $seconds = seconds_until_told(1, 'back', $from, @before);
    cmp_ok($seconds, '<', 2, sprintf 'continued it is back everywhere within 2 s (%.1f)', $seconds);
    my $killed = $name{3};
    my $probes = stat_of(1, 'gossip_probes');
    $cluster->await('it goes on probing', sub { stat_of(1, 'gossip_probes') >= $probes + 8 });
    is(stat_of(1, 'gossip_deaths'), $deaths, 'it has found nobody dead');
    unlike(slurp($server{1}{log}), qr/node (?!\Q$killed\E)\S+ is dead/, 'its log says of nobody that was alive that it is dead');
    like(slurp($server{1}{log}), qr/stood still/, 'but that it stood still');
    $cluster->await('all are alive to another', sub { !grep { gossip(2, $_) ne 'alive' } 1 .. $nodes });
}

# ---- noise ----
{
    my $socket = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $server{2}{port}) or die $!;
    my $sent = stat_of(2, 'gossip_malformed') + stat_of(2, 'gossip_unknown_key');
    $socket->send($_ % 2 ? chr(1) . 'noise' x ($_ % 270) : "\0" x ($_ % 1500 + 1)) for 1 .. 200;
    $cluster->await('noise is counted', sub { stat_of(2, 'gossip_malformed') + stat_of(2, 'gossip_unknown_key') >= $sent + 200 });
    ok(!IO::Select->new($socket)->can_read(0), 'and not answered');
}

# ---- a second process under the id of node 4 ----
{
    my $scratch = scratch_folder();
    my ($port) = free_ports(1);
    system('cp', DynamoCluster::program(), "$scratch/dynamo_node");
    my ($status, $out, $error) = run_as_server([ 'cp', '-a', $cluster->node_folder(4), "$scratch/twin" ]);
    is($status, 0, 'the folder of node 4 is copied') or diag $error;
    ($status, $out, $error) = run_as_server([ "$scratch/dynamo_node", '-D', "$scratch/twin", '-c', "port=$port" ]);
    isnt($status, 0, 'a node on the copy ends at once');
    my $place = "127.0.0.1:$server{4}{port}";
    like($error, qr/error.*member id at \Q$place\E, but.*a copy of another node's/, 'and says why');
    is(gossip($_, 4), 'alive', "and node 4 stays alive to node $_") for others(4);
}

done_testing;
