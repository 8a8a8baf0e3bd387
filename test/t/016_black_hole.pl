# A node whose packets are dropped, the ones that would open a connection too: nobody is told, and
# no statement fails. In a network namespace of the test's own.
use strict;
use warnings;
use DynamoCluster;
use DynamoLoad;
use Test::More;

plan skip_all => 'needs root, ip and nft'
    if $> != 0 || system('command -v ip nft unshare >/dev/null 2>&1 && unshare --net true 2>/dev/null') != 0;
if (!$ENV{DYNAMO_NAMESPACE})
{
    $ENV{DYNAMO_NAMESPACE} = 1;
    exec 'unshare', '--net', $^X, map({ ('-I', $_) } grep { !ref } @INC), $0;
}

sub must
{
    my ($command) = @_;
    system($command) == 0 or die "$command: failed\n";
}

must('ip link set lo up');
must(q{nft 'add table inet hole; add set inet hole ports { type inet_service; };
    add chain inet hole in { type filter hook input priority 0; };
    add rule inet hole in tcp dport @ports drop; add rule inet hole in tcp sport @ports drop;
    add rule inet hole in udp dport @ports drop; add rule inet hole in udp sport @ports drop'});

my $nodes   = 5;
my $cluster = DynamoCluster->new(nodes => $nodes);
my $load    = DynamoLoad->new($cluster, nodes => $nodes);
my %port    = map { $_ => $cluster->port($_) } 1 .. $nodes;

sub strike
{
    my ($what, $r, @lost) = @_;
    my $set = join ', ', map { $port{$_} } @lost;
    $load->strike($what, $r, sub { must("nft add element inet hole ports '{ $set }'") },
        sub { must('nft flush set inet hole ports') });
}

strike('node 3 in a black hole', 2, 3);
strike('nodes 2 and 5 in a black hole', 1, 2, 5);

# New backends meet it with their first packet.
must("nft add element inet hole ports '{ $port{1} }'");
is($cluster->query('SELECT count(*) FROM t WHERE id <= 10'), 10, 'a new session gets round it');
must('nft flush set inet hole ports');

done_testing;
