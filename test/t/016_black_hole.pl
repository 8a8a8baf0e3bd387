# A node whose packets are dropped, the ones that would open a connection too: nobody is told, and
# no statement fails. In a network namespace of the test's own.
use strict;
use warnings;
use BlackHole;
use DynamoCluster;
use DynamoLoad;
use Test::More;

plan skip_all => 'needs root, ip and nft' if !BlackHole::is_possible();
BlackHole::enter();

my $nodes   = 5;
my $cluster = DynamoCluster->new(nodes => $nodes);
my $load    = DynamoLoad->new($cluster, nodes => $nodes);
my %port    = map { $_ => $cluster->port($_) } 1 .. $nodes;

sub strike
{
    my ($what, $r, @lost) = @_;
    $load->strike($what, $r, sub { BlackHole::drop(@port{@lost}) },
        sub { BlackHole::restore(@port{@lost}) });
}

strike('node 3 in a black hole', 2, 3);
strike('nodes 2 and 5 in a black hole', 1, 2, 5);

# New backends meet it with their first packet.
BlackHole::drop($port{1});
is($cluster->query('SELECT count(*) FROM t WHERE id <= 10'), 10, 'a new session gets round it');
BlackHole::restore($port{1});

# Gossip hears nothing of node 4 and is not heard by it, but its connections answer.
{
    sub probes { return $cluster->console($_[0], 'SHOW STATS') =~ /^gossip_probes\|(\d+)/m ? $1 : die 'no gossip_probes' }
    $cluster->await_all_up('all are up before', $nodes);
    my %before = map { $_ => probes($_) } 1, 4;
    BlackHole::drop_datagrams($port{4});
    $cluster->await("node $_ has probed all others thrice over", sub { probes($_) >= $before{$_} + 3 * ($nodes - 1) }) for 1, 4;
    unlike($cluster->console($_, 'SHOW NODES'), qr/\|(?:dead|suspect)\|/, "nobody is dead to node $_ for want of datagrams") for 1, 4;
}

done_testing;
