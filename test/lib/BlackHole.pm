package BlackHole;

# Nodes whose packets are dropped, the ones that would open a connection too: nobody is told.
# In a network namespace of the program's own, so that nothing else on the machine is met.
#
#     BlackHole::enter() if BlackHole::is_possible();    # first of all: runs the program anew
#     BlackHole::drop(7102, 7105);
#     BlackHole::restore(7102, 7105);
#     BlackHole::drop_datagrams(7103);                  # connections go on
#     BlackHole::forget_soon();          # what a dead process leaves unsent is given up at once
use strict;
use warnings;

# Needs root, ip and nft.
sub is_possible
{
    return $> == 0
        && system('command -v ip nft unshare >/dev/null 2>&1 && unshare --net true 2>/dev/null') == 0;
}

# Before it returns the program has been started anew, with its arguments, in the namespace.
sub enter
{
    if (!$ENV{DYNAMO_NAMESPACE})
    {
        $ENV{DYNAMO_NAMESPACE} = 1;
        exec 'unshare', '--net', $^X, map({ ('-I', $_) } grep { !ref } @INC), $0, @ARGV;
    }
    must('ip link set lo up');
    must(q{nft 'add table inet hole; add set inet hole ports { type inet_service; };
        add set inet hole deaf { type inet_service; };
        add chain inet hole in { type filter hook input priority 0; };
        add rule inet hole in tcp dport @ports drop; add rule inet hole in tcp sport @ports drop;
        add rule inet hole in udp dport @ports drop; add rule inet hole in udp sport @ports drop;
        add rule inet hole in udp dport @deaf drop; add rule inet hole in udp sport @deaf drop'});
    return;
}

sub must
{
    my ($command) = @_;
    system($command) == 0 or die "$command: failed\n";
    return;
}

sub change
{
    my ($verb, $set, @ports) = @_;
    my $list = join ', ', @ports;
    must("nft $verb element inet hole $set '{ $list }'");
    return;
}

sub drop    { change('add',    'ports', @_); return }
sub restore { change('delete', 'ports', @_); return }
sub forget_soon { must('sysctl -qw net.ipv4.tcp_orphan_retries=1'); return }
sub drop_datagrams { change('add', 'deaf', @_); return }

1;
