# Somebody between the nodes, and between a backend and them, who changes bytes. Each node is reached through a proxy that
# flips a bit in some of what passes, in both directions. No altered value may ever be believed: what is read is what was
# written, what was acknowledged is there, and the nodes have noticed.
use strict;
use warnings;
use DynamoCluster;
use DynamoProgram;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $rounds = 40;
my ($first) = grep { my $p = $_; !grep { !defined probe_port($p + $_) } 0 .. 2 } map { 15000 + 10 * int rand 1500 } 1 .. 200;
my @port = map { $first + $_ } 0 .. 2;

sub probe_port { return IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $_[0], Listen => 1) }

# Forwards 127.0.0.2:port to 127.0.0.1:port, TCP and the datagrams of gossip. While the file is there, one read in 200 has a
# bit flipped.
sub proxy
{
    my ($port, $evil) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.2', LocalPort => $port, Listen => 100, ReuseAddr => 1) or die $!;
    my $datagrams = IO::Socket::INET->new(LocalAddr => '127.0.0.2', LocalPort => $port, Proto => 'udp') or die $!;
    my $out = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'udp') or die $!;
    my $pid = fork // die $!;
    return $pid if $pid;
    my $select = IO::Select->new($listener, $datagrams);
    my %other;
    while (1)
    {
        for my $ready ($select->can_read(10))
        {
            if ($ready == $listener)
            {
                my $client = $listener->accept or next;
                my $node = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or next;
                @other{ $client, $node } = ($node, $client);
                $select->add($client, $node);
                next;
            }
            if ($ready == $datagrams)
            {
                $datagrams->recv(my $datagram, 2000);
                $out->send($datagram);
                next;
            }
            next if !$other{$ready};
            my $got = sysread $ready, my $bytes, 65536;
            if ($got)
            {
                if (rand() < 1 / 200 && -e $evil)
                {
                    my $at = int rand $got;
                    substr($bytes, $at, 1) = chr(ord(substr $bytes, $at, 1) ^ 1 << int rand 8);
                }
                my $sent = 0;
                while ($sent < $got)
                {
                    my $count = syswrite $other{$ready}, $bytes, $got - $sent, $sent;
                    last if !defined $count;
                    $sent += $count;
                }
                next if $sent == $got;
            }
            my $peer = $other{$ready};
            delete @other{ $ready, $peer };
            $select->remove($ready, $peer);
            close $_ for $ready, $peer;
        }
    }
}

my $scratch = scratch_folder();
my $evil = "$scratch/evil";
my @proxies = map { proxy($_, $evil) } @port;
my $main = $$;
END { local $?; if (defined $main && $$ == $main) { kill KILL => @proxies; waitpid $_, 0 for @proxies } }

my $cluster = DynamoCluster->new(nodes => 3, up => [ '--port', $first ],
    config => [ 'advertise_address=127.0.0.2', 'seeds=' . join(',', map { "127.0.0.2:$_" } @port) ]);
$cluster->query(qq{
    ALTER SERVER dynamo OPTIONS (SET host '127.0.0.2,127.0.0.2,127.0.0.2');
    CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 't');
    INSERT INTO t SELECT i, ARRAY['before ' || repeat(i::text, 200)] FROM generate_series(1, 50) i});

open my $file, '>', $evil or die $!;
close $file;
my (%acknowledged, $failed);
for my $round (1 .. $rounds)
{
    for my $key (1 .. 5)
    {
        my $id = 100 * $round + $key;
        my ($status) = $cluster->psql(
            "INSERT INTO t SELECT i, ARRAY['x' || repeat(i::text, 200)] FROM generate_series($id, $id) i; SELECT count(*) FROM t WHERE id < 51");
        $status == 0 ? $acknowledged{$id} = 1 : $failed++;
    }
}
my $noticed = sub {
    my $sum = 0;
    $sum += ($cluster->console($_, 'SHOW STATS') =~ /^frames_altered\|(\d+)/m)[0] for 1 .. 3;
    return $sum;
};
my $cut = 0;
for my $node (1 .. 3)
{
    my $log = slurp($cluster->server($node)->{log});
    $cut += () = $log =~ /altered on its way/g;
}
unlink $evil;
$cluster->await_all_up('all are up again', 3);
note scalar(keys %acknowledged) . ' writes acknowledged, ' . ($failed // 0) . ' failed, ' . $noticed->() . ' altered frames counted, ' . "$cut in logs";
cmp_ok($noticed->() + $cut, '>', 0, 'bytes were altered, and that was seen');
cmp_ok(scalar(keys %acknowledged), '>', 0, 'writes went on meanwhile');
my $wrong = $cluster->query(q{SELECT count(*) FROM t, unnest(v) one
    WHERE one <> CASE WHEN id < 51 THEN 'before ' ELSE 'x' END || repeat(id::text, 200)});
is($wrong, 0, 'no value is another than what was written');
is($cluster->query('SELECT count(*) FROM t WHERE id < 51'), 50, 'what was there before is there');
my %there = map { $_ => 1 } split /\n/, $cluster->query('SELECT id FROM t WHERE id > 51', options => '-c dynamo_fdw.r=3');
is(scalar(grep { !$there{$_} } keys %acknowledged), 0, 'and so is all that was acknowledged');
is(scalar(grep { $_ % 100 < 1 || $_ % 100 > 5 || $_ > 100 * $rounds + 5 } keys %there), 0, 'and nothing that nobody wrote');
done_testing;
