# Those who do not belong: a node of another cluster, a wrong password, a port that is no node, one
# that never answers, another version of the frames, bytes that are no frames. Each is a clear error,
# and both sides go on.
use strict;
use warnings;
use DynamoCluster;
use DynamoProgram;
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);

my $cluster = DynamoCluster->new(nodes => 3);
my @port = map { $cluster->port($_) } 1 .. 3;

sub table
{
    my ($name, $port, $password) = @_;
    my $mapping = $password
        ? "CREATE USER MAPPING FOR PUBLIC SERVER s_$name OPTIONS (user 'dynamo', password '$password');" : '';
    $cluster->query(qq{
        CREATE SERVER s_$name FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (host '127.0.0.1', port '$port');
        $mapping
        CREATE FOREIGN TABLE t_$name (id bigint OPTIONS (key 'true'), v text[]) SERVER s_$name OPTIONS (bucket 't');
    });
}

# A read through such a table fails with this message, soon, and the session goes on.
sub fails
{
    my ($name, $message, $seconds) = @_;
    my $from = time;
    my ($status, $out, $error) = $cluster->psql(
        "\\set ON_ERROR_STOP off\nSELECT * FROM t_$name WHERE id = 1;\nSELECT 'went on';");
    like($error, $message, "$name: a clear error");
    like($out, qr/went on/, "$name: the session goes on");
    cmp_ok(time - $from, '<', $seconds // 10, "$name: in time");
}

table('wrong_password', $port[0], 'wrong');
fails('wrong_password', qr/password authentication failed/);
table('no_mapping', $port[0]);
fails('no_mapping', qr/user mapping|password/i);
table('no_listener', (free_ports(1))[0], 'x');
fails('no_listener', qr/refused|could not connect|connection to/i);
table('postgres', $cluster->server('postgres')->{port}, 'x');
fails('postgres', qr/authentication failed|not a node|STREAM|syntax/i);

# A listener that never says a word.
my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 20, ReuseAddr => 1) or die $!;
table('silent', $silent->sockport, 'x');
{
    my $from = time;
    my ($status, $out, $error) = $cluster->psql("SET statement_timeout = '1s'; SELECT * FROM t_silent WHERE id = 1");
    like($error, qr/statement timeout/, 'silent: statement_timeout ends the wait for a connection');
    cmp_ok(time - $from, '<', 5, 'silent: in time');
    $from = time;
    ($status, $out, $error) = $cluster->psql("SET dynamo_fdw.request_timeout = '1s'; SELECT * FROM t_silent WHERE id = 1");
    isnt($status, 0, 'silent: request_timeout ends it too');
    cmp_ok(time - $from, '<', 5, 'silent: in time');
}

# ---- on the node's side ----
{
    my ($status, $out, $error) = $cluster->run('console', 1, '-XAtc', 'STREAM 99');
    like($error, qr/version.*\b99\b.*\b1\b|version.*\b1\b.*\b99\b/s, 'another version of the frames is refused, both named');
}
for my $bytes ('', "\0", "GET / HTTP/1.0\r\n\r\n", "\xff" x 64, pack('N', 0x7fffffff) . 'x' x 10, pack('NN', 8, 80877103),
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . 'x' x 100)
{
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port[0], Timeout => 5) or die $!;
    syswrite $socket, $bytes;
    shutdown $socket, 1;
    my ($answer, $closed) = ('', 0);
    my $end = time + 20;
    while (!$closed && time < $end)
    {
        next unless IO::Select->new($socket)->can_read(0.5);
        my $got = sysread $socket, my $more, 4096;
        $closed = 1 if !$got;
        $answer .= $more if $got;
    }
    ok($closed, 'the node closes on ' . length($bytes) . ' bytes of nonsense');
}
like($cluster->console(1, 'SHOW VERSION'), qr/1\.0/, 'and answers the next');

# ---- a node with another cluster key ----
{
    my $scratch = scratch_folder();
    my ($port) = free_ports(1);
    my $node = "$scratch/dynamo_node";
    system('cp', DynamoCluster::program(), $node);
    my ($status, $out, $error) = run_as_server(
        [ $node, 'init', '-D', "$scratch/n", '-c', "port=$port", '-c', "seeds=127.0.0.1:$port[0],127.0.0.1:$port" ]);
    is($status, 0, 'init with a cluster key of its own') or diag $error;
    start_as_server([ $node, '-D', "$scratch/n" ], "$scratch/n.log");
    $cluster->await('a node with another key cannot come in, and its log says so',
        sub { slurp("$scratch/n.log") =~ /authentication|cluster key/i });
    my $nodes = $cluster->console(1, 'SHOW NODES');
    unlike($nodes, qr/\b$port\b/, 'it is no member');
}
$cluster->query(q{
    CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), v text[]) SERVER dynamo OPTIONS (bucket 't');
    INSERT INTO t VALUES (1, '{here}')});
is($cluster->query('SELECT v FROM t WHERE id = 1'), '{here}', 'the cluster is as it was');

done_testing;
